"""Descriptions of all settings: type, range or choices, relations, and meaning of every key of every config.

`settings.kinds` has the vocabulary, `settings.check` the check of a config; one file per system describes its config,
with the sections that systems share in `data`, `networks`, `training` and `use`.
"""
