"""Dictionaries that were trained on an app's own data, for compression."""

from sojourn.dictionaries.admin import DictionaryAdmin, DictionaryInfo

__all__ = ["DictionaryAdmin", "DictionaryInfo"]
