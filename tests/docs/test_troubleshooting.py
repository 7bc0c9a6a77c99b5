"""Messages on the page for troubleshooting are messages of the program."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs/reference/troubleshooting.md').read_text()


def literals():
    """All text of string literals of the package, parts of formatted ones joined by what cannot be quoted."""
    texts = []
    for folder in ('downscale_jax', 'data_prep'):
        for path in (ROOT / folder).rglob('*.py'):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else '\0' for part in node.values]
                    texts.append(''.join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(node.value)
    return texts


def test_every_message_is_one_of_the_program():
    rows = re.findall(r'^\| (`[^|]*) \|', PAGE, re.MULTILINE)
    assert len(rows) > 20
    known = literals()
    for row in rows:
        parts = [re.escape(part) for part in re.findall('`([^`]*)`', row)]
        pattern = re.compile('.*'.join(parts), re.DOTALL)
        assert any(pattern.search(text) for text in known), row
