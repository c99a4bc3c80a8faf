"""Garbage for everything that takes something from outside, a category a file."""
