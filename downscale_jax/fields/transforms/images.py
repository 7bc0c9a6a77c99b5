"""Transform of labelled images: standardisation of their channels and of the numbers known about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from downscale_jax.fields.transforms.standardisation import Standardisation


@dataclass(frozen=True)
class ImageTransform:
    """Channels and values as networks see them, and the names of the classes."""

    channels: Standardisation
    values: Standardisation
    labels: tuple[str, ...]

    def of_values(self, names: Sequence[str]) -> Standardisation:
        """The transform of these values alone."""
        chosen = [self.values.variables.index(name) for name in names]
        columns = self.values.to_json()
        return Standardisation(**{
            key: tuple(column[k] for k in chosen) if isinstance(column, tuple) else column
            for key, column in columns.items()
        })  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {'channels': self.channels.to_json(), 'values': self.values.to_json(), 'labels': list(self.labels)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> 'ImageTransform':
        channels, numbers = (Standardisation.from_json(values[name]) for name in ('channels', 'values'))
        return cls(channels, numbers, tuple(values['labels']))
