"""Names in users' files as labels of figures and reports.

A long_name may hold anything: line breaks, control characters, thousands of letters, signs of TeX or HTML. TeX is
switched off in figures (`drawing.style`), HTML is escaped by the template of the report.
"""

import re
import unicodedata

LONGEST = 80  # characters of a label


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text on one line, without control characters, cut with an ellipsis beyond `longest` characters."""
    printable = ''.join(' ' if unicodedata.category(character)[0] == 'C' else character for character in text)
    line = re.sub(' +', ' ', printable).strip()
    return line if len(line) <= longest else f'{line[: longest - 1].rstrip()}…'


def squared(unit: str) -> str:
    if unit in ('', '1'):
        return unit
    return f'{unit}²' if unit.isalpha() else f'({unit})²'
