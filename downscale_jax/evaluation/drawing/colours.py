"""Colour maps of fields by their quantity: the perceptually uniform ones of Crameri et al. (2020), Nature Comm. 11."""

from cmcrameri import cm
from matplotlib import colormaps
from matplotlib.colors import Colormap

SIGNED = cm.vik  # errors, and quantities of either sign
SPREAD = cm.bilbao_r
_FIELDS = {
    'air temperature': cm.lipari,
    'dew point': cm.lipari,
    'surface temperature': cm.lipari,
    'precipitation': cm.navia_r,
    'wind': cm.imola_r,
    'relative humidity': cm.bamako_r,
    'specific humidity': cm.bamako_r,
    'a radiative flux': cm.lajolla,
    'a fraction of area': cm.devon,
    'sea-ice thickness': cm.devon,
}


def of_quantity(quantity: str) -> Colormap:
    """The colour map of fields of a quantity of `fields.datasets.values.plausibility`; viridis for any other."""
    return _FIELDS.get(quantity, colormaps['viridis'])
