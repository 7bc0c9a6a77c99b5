"""Latitudes and longitudes of a grid in rotated degrees, from the pole of its CF grid mapping."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

NAME = 'rotated_latitude_longitude'  # its grid_mapping_name


def has_pole(mapping: Mapping[Hashable, Any]) -> bool:
    """Whether the attributes of a grid mapping give the place of the rotated pole."""
    return {'grid_north_pole_latitude', 'grid_north_pole_longitude'} <= set(mapping)


def geographic(rlat: np.ndarray, rlon: np.ndarray, mapping: Mapping[Hashable, Any]) -> tuple[np.ndarray, np.ndarray]:
    """(latitude, longitude) [H, W] in degrees, longitudes from -180 to 180, of rotated degrees rlat [H], rlon [W].

    With theta, lambda the rotated coordinates, (P, Q) the latitude and longitude of the rotated pole and N the rotated
    longitude of the true pole (`north_pole_grid_longitude`, 0 by default):

        sin lat = sin P sin theta + cos P cos theta cos(lambda - N)
        lon = Q + atan2(-cos theta sin(lambda - N), cos P sin theta - sin P cos theta cos(lambda - N))
    """
    pole, meridian = (float(mapping[f'grid_north_pole_{name}']) for name in ('latitude', 'longitude'))
    theta = np.deg2rad(np.asarray(rlat, float))[:, None]
    along = np.deg2rad(np.asarray(rlon, float) - float(mapping.get('north_pole_grid_longitude', 0.0)))
    sine, cosine = np.sin(np.deg2rad(pole)), np.cos(np.deg2rad(pole))
    toward = np.cos(theta) * np.cos(along)
    lat = np.rad2deg(np.arcsin(np.clip(sine * np.sin(theta) + cosine * toward, -1, 1)))
    lon = meridian + np.rad2deg(np.arctan2(-np.cos(theta) * np.sin(along), cosine * np.sin(theta) - sine * toward))
    return lat, (lon + 180) % 360 - 180
