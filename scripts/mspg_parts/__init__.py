"""What scripts/mspg_study.py measures, one module each."""
