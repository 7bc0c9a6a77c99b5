"""Masks of valid cells, by the conventions of files: flags, land fractions, sea masks."""

import re
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

LAND = 'land|coast'


def flags_of(attrs: Mapping[Hashable, object], meaning: str) -> list[Any]:
    """The `flag_values` of CF attributes whose `flag_meanings` match a pattern."""
    meanings = str(attrs.get('flag_meanings', '')).lower().split()
    flags = np.atleast_1d(np.asarray(attrs.get('flag_values', range(len(meanings)))))
    return [flag for flag, text in zip(flags, meanings, strict=False) if re.search(meaning, text)]


def valid_cells(values: np.ndarray, name: str, attrs: Mapping[Hashable, object]) -> np.ndarray:
    """Values of the mask variable `name` with CF attributes `attrs` -> bool, True where the field exists.

    `flag_meanings` that mention land or sea decide. Otherwise a mask whose standard_name, name or long_name, in this
    order, mentions land but not sea is 1 on land (a fraction counts from 0.5) and is inverted; so is a mask that
    mentions both, such as ECMWF's land-sea mask; every other mask is non-zero where valid.
    """
    land, sea = (flags_of(attrs, meaning) for meaning in (LAND, 'sea|ocean|water'))
    if sea:
        return np.isin(values, sea)
    if land:
        return ~np.isin(values, land) & np.isfinite(values)
    texts = [str(text).lower() for text in (attrs.get('standard_name', ''), name, attrs.get('long_name', ''))]
    on_land, on_sea = ([bool(re.search(word, text)) for text in texts] for word in ('land', 'sea|ocean'))
    if next((is_land for is_land, is_sea in zip(on_land, on_sea, strict=True) if is_land != is_sea), any(on_land)):
        return values < 0.5
    return np.isfinite(values) & (values != 0)
