"""Small files, written aside and renamed: a reader never sees half of one."""

import json
import os
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Replaces `path` by `text` in one step."""
    aside = path.with_name(f'.{path.name}.partial')
    aside.write_text(text)
    os.replace(aside, path)


def write_json(path: Path, value: Any) -> None:
    """Replaces `path` by `value` as JSON in one step."""
    write_text(path, json.dumps(value, indent=1) + '\n')
