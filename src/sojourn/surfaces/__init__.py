"""Interfaces for people and other programs."""
