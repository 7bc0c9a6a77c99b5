"""The `sampling` section of a config as typed records: partition of the work, sampling, conservation."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from downscale_jax.diffusion.samplers import Solver


@dataclass(frozen=True)
class Partition:
    """Tiles of a domain and work units of an ensemble."""

    tile: int  # cells a side, at most
    overlap: int  # cells that neighbouring tiles share, at least
    members: int = 1  # of a work unit


@dataclass(frozen=True)
class Sampling(Solver):
    """The solver that draws members, and the noise that it starts from."""

    temperature: float | None = None  # factor of all noise; None: 1 unless another was fitted; 0: no noise
    correlation_hours: float = 0.0  # time lag at which a member's noise correlates by 1/e; 0: times are independent

    @property
    def noise_factor(self) -> float:
        return 1.0 if self.temperature is None else self.temperature


@dataclass(frozen=True)
class GenerationSettings:
    """How a trained task generates fields."""

    partition: Partition
    sampling: Sampling | None = None  # None for a deterministic task
    conserve: bool = False  # adjust fields so that their block means are the coarse field (block means only)

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> 'GenerationSettings':
        """From the flat section; one without a sampler is that of a deterministic system."""
        values = dict(section)
        conserve = values.pop('conserve', False)
        partition = {field.name: values.pop(field.name) for field in fields(Partition) if field.name in values}
        return cls(Partition(**partition), Sampling(**values) if values else None, conserve)

    def deterministic(self) -> 'GenerationSettings':
        """The same for a task that draws no members: a single one, without a solver."""
        return replace(self, partition=replace(self.partition, members=1), sampling=None)
