"""Spellings of units in files of climate data, read as one factor and one unit of a closed registry (`units.txt`).

CF, UDUNITS, ECMWF's Climate Data Store, GRIB, CRU, Daymet, WRF, NOAA and the like write the same unit in many ways. A
spelling is normalised to one expression, whose symbols must all be in the registry: unknown spellings are refused and
never read as another unit. Months and years keep dimensions of their own until the calendar gives their length; in
UDUNITS a month is a twelfth of a mean year.
"""

import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from downscale_jax.runtime.errors import UserError

_DIMENSIONLESS = {
    '', '-', '--', '~', '0-1', '0 - 1', '0 to 1', '0..1', 'none', 'no units', 'no unit', 'unitless', 'dimensionless',
    'nondimensional', 'non-dimensional', 'fraction', 'fractional', 'ratio', 'proportion', 'numeric',
}  # fmt: skip
# lower case would make them another unit
_AMBIGUOUS = {'Mm': 'millimetres or megametres', 'mJ': 'millijoules or megajoules'}
_UNCLEAR = 'it is unclear whether values have already been multiplied by this number'
_LETTERS = {0x2212: '-', 0x2013: '-', 0x3BC: 'u'}  # minus, dash, mu
_NUMBER = r'[+]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?'
_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r'\\(?:mathrm|rm|text)|[${}]', ''),  # LaTeX
        (r'\^?\\circ *', 'deg'),
        (r'\^|\*\*', '^'),
        (r'°|º|\bdegrees?\b|\bdegs\b', 'deg'),
        (r'\bdegree_|\bdegrees_', 'deg_'),
        (r'\bdegrees?(?=c|k|f)', 'deg'),
        (r'\bdeg\.?[ _]*(?:celsius|celcius|centigrade|c)(?![a-z])', 'celsius'),
        (r'\bdeg\.?[ _]*(?:kelvins?|k)(?![a-z])', 'kelvin'),
        (r'\bdeg\.?[ _]*(?:fahrenheit|f)(?![a-z])', 'fahrenheit'),
        (r'\bo ?c(?![a-z])', 'celsius'),  # a raised o for the degree sign
        (r'[ (]*\bof water(?: equivalent)?\b\)?| *\(?\bw\.? ?e\b\.?\)?| *\bwater[ _]equivalent\b', ''),
        (r'\binches of (?:mercury|hg)\b|\bin[ _]?hg\b', 'inhg'),
        (r'\bmm[ _]?hg\b', 'mmhg'),
        (r'\b(?:nautical|geopotential)[ _-](?=[a-z])', lambda match: match[0][:-1] + '_'),
        (r'\bgeopotential_(?:decameters?|decametres?)', 'dam'),
        (r'watt[ _-]?hours?\b', 'watt_hour'),
        (r'\bper[ _-]?cent\b|%', 'percent'),
        (r'\bper[ _-]?mille?\b|‰', 'permil'),
        (r'\b(?:square|sq\.?)[ _]([a-z]+)', r'\1^2'),
        (r'\bcubic[ _]([a-z]+)', r'\1^3'),
        (r'([a-z]+)[ _]squared', r'\1^2'),
        (r'\bper\b', '/'),
        (r'\.(?=[\s/)*]|$)', ''),  # hr.
        (r'[·⋅×]|(?<=[a-z0-9])\.(?=[a-z])', ' '),
        # symbols run together: ms-1, kgm-2s-1, mmday-1, gkg-1
        (r'\b(mm|cm|km|m)(sec|s|day|d|hr|h)(?=\^?-\d)', r'\1 \2'),
        (r'\b(kg|g|w|kj|mj|j)(m)(?=\^?-\d)', r'\1 \2'),
        (r'\b(kg|g|mg|ug)(kg)(?=\^?-\d)', r'\1 \2'),
        (r'([a-z])\^?\(?([+-]?\d+)(?:\.0)?\)?', r'\1^\2 '),
        (r'(?<=[a-z0-9)])\s*\*?\s+(?=[a-z(])|\*', '*'),
        (r'\s+', ''),
        (r'\^\+?', '**'),
    )
)


class Spelled(NamedTuple):
    """A multiple of a pint unit, such as that of axes in '100 km'."""

    factor: float
    unit: Any


@cache
def registry() -> Any:
    """The units that are understood. Importing pint costs half a second, which files in the wanted units save."""
    import pint

    return pint.UnitRegistry(str(Path(__file__).with_name('units.txt')))


@cache
def parse_units(units: str) -> Spelled:
    """A spelling of units -> factor and unit. Raises UserError for units that are not known or ambiguous.

    An affine unit (degC, degF) in a product or power counts as a difference: 'degC day-1' is 'K day-1'.
    """
    for symbol, meanings in _AMBIGUOUS.items():
        if re.search(rf'(?<![A-Za-z]){symbol}(?![A-Za-z])', units):
            raise UserError(f"'{symbol}' may be {meanings}")
    text = unicodedata.normalize('NFKC', units.replace('º', '°')).translate(_LETTERS)
    text = _without_brackets(text.strip().lower())
    if text in _DIMENSIONLESS:
        return Spelled(1.0, registry().Unit(''))
    if re.search(rf'[*x×]\s*{_NUMBER}$', text) and not re.search(r'\*\*\s*[+-]?\d+$', text):
        raise UserError(_UNCLEAR)
    factor, text = _leading_number(text)
    if (repeated := _repeated(text)) is not None:
        return repeated
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    factor, text = _inner_numbers(factor, text.strip('*'))
    try:
        unit = registry().parse_units(f'1{text}' if text.startswith('/') else text)
    except Exception as error:  # pint's errors have no common base but Exception
        raise UserError('this unit is not known') from error
    if factor > 1 and '[temperature]' in unit.dimensionality:
        raise UserError(_UNCLEAR)
    return Spelled(factor, unit)


def _repeated(text: str) -> Spelled | None:
    """A unit that brackets repeat, as in 'Kelvin (K)' and 'percent (%)', which is not its square."""
    match = re.fullmatch(r'([^()[\]]+)[([]([^()[\]]+)[)\]]', text)
    if not match:
        return None
    try:
        first, second = (parse_units(part) for part in match.groups())
    except UserError:
        return None
    return first if first == second else None


def _without_brackets(text: str) -> str:
    match = re.fullmatch(r'\[([^][]*)\]|\(([^()]*)\)', text)
    return (match[1] or match[2] or '').strip() if match else text


def _leading_number(text: str) -> tuple[float, str]:
    """'100 km' -> (100, 'km'); also '10^-5 s-1', '1e-3' and '0.1mm'."""
    if match := re.match(r'10\s*(?:\*\*|\^)\s*\(?([+-]?\d+)\)?', text):
        return 10.0 ** int(match[1]), text[match.end() :].lstrip(' *x×')
    match = re.match(rf'{_NUMBER}(?![\d^.]|\s*[/*]{{2}})', text)
    if not match:
        return 1.0, text
    rest = text[match.end() :].lstrip(' *·')
    return float(match[0]), f'1{rest}' if rest.startswith('/') else rest


def _inner_numbers(factor: float, text: str) -> tuple[float, str]:
    """Divides by the numbers of periods such as 'mm/3h', 'mm/(3*h)' and by a final one, as in 'k/10'."""
    for pattern in (rf'/\(?({_NUMBER})\*?(?=[a-z])', rf'/({_NUMBER})$'):
        if match := re.search(pattern, text):
            factor /= float(match[1])
            closing = text[match.end() :].replace(')', '', 1) if '(' in match[0] else text[match.end() :]
            text = text[: match.start()] + ('/' if closing else '') + closing
    return factor, text
