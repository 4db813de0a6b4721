"""Sojourn beside its peers, all in one run: ``python -m bench``."""
