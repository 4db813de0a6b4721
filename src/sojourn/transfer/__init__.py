"""Data in and out: export, import, and migration from other layouts."""
