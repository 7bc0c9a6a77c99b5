"""Latitudes and longitudes of projected and rotated grids, from their CF grid mapping by PROJ."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

ROTATED = 'rotated_latitude_longitude'  # its grid_mapping_name
# what places a map on the globe (CF conventions, appendix F); of alternatives (|) one is enough
_NEEDED = {
    ROTATED: ('grid_north_pole_latitude', 'grid_north_pole_longitude'),
    'albers_conical_equal_area': (
        'standard_parallel',
        'longitude_of_central_meridian',
        'latitude_of_projection_origin',
    ),
    'lambert_azimuthal_equal_area': ('longitude_of_projection_origin', 'latitude_of_projection_origin'),
    'lambert_conformal_conic': ('standard_parallel', 'longitude_of_central_meridian', 'latitude_of_projection_origin'),
    'mercator': ('longitude_of_projection_origin', 'standard_parallel|scale_factor_at_projection_origin'),
    'polar_stereographic': (
        'straight_vertical_longitude_from_pole|longitude_of_projection_origin',
        'latitude_of_projection_origin',
        'standard_parallel|scale_factor_at_projection_origin',
    ),
    'transverse_mercator': (
        'longitude_of_central_meridian',
        'latitude_of_projection_origin',
        'scale_factor_at_central_meridian',
    ),
}
_EARTH = 'earth_radius|semi_major_axis|reference_ellipsoid_name'  # sphere and ellipsoid differ by up to 21 km
_TEXT = ('crs_wkt', 'spatial_ref')


def geographic(y: np.ndarray, x: np.ndarray, mapping: Mapping[Any, Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """(latitude, longitude) [H, W] in degrees, NaN outside the map, of y [H] and x [W] in metres or rotated degrees.

    None where the attributes of the mapping do not say where the grid is: PROJ would take missing ones as zero.
    """
    if not _is_complete(mapping):
        return None
    try:
        projected = CRS.from_cf({str(key): value for key, value in mapping.items()})
        base = projected.source_crs if projected.is_derived else projected.geodetic_crs
        transform = Transformer.from_crs(projected, base, always_xy=True)
    except (CRSError, KeyError, ValueError, TypeError):
        return None
    lon, lat = transform.transform(*np.meshgrid(np.asarray(x, float), np.asarray(y, float)))
    inside = np.isfinite(lat) & np.isfinite(lon)
    return np.where(inside, lat, np.nan), np.where(inside, (lon + 180) % 360 - 180, np.nan)


def _is_complete(mapping: Mapping[Any, Any]) -> bool:
    if any(str(mapping.get(name, '')) for name in _TEXT):
        return True
    name = mapping.get('grid_mapping_name')
    needed = _NEEDED.get(str(name), ('',)) + (() if name == ROTATED else (_EARTH,))
    return all(any(one in mapping for one in group.split('|')) for group in needed)
