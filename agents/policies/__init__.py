"""Policies that work without the library they were trained with. The files beside this one are shipped ones."""
