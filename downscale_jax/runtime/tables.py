"""Tables of objects by name, whose modules are imported on first use, since importing all of them takes seconds."""

from collections import UserDict
from pkgutil import resolve_name
from typing import Any


class ImportedOnUse(UserDict[str, Any]):
    """Values by name; a text 'module:attribute' or 'package.module' stands for the object until it is requested."""

    def __getitem__(self, name: str) -> Any:
        if isinstance(value := self.data[name], str):
            value = self.data[name] = resolve_name(value)
        return value
