"""A work directory that turns coarse data sets into fine ones."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
import xarray as xr

from downscale_jax.downscale import ensemble
from downscale_jax.downscale.correction import correction, read_climate
from downscale_jax.downscale.generate import Generator
from downscale_jax.downscale.region import fine_grid
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.bounds import limits
from downscale_jax.fields.transforms.quantile_mapping import QuantileMap
from downscale_jax.runtime.errors import UserError
from downscale_jax.systems.workdir import Config, WorkDirectory

NAMES = ('standard_name', 'long_name')


def wrong_with_blocks(config: Config) -> list[str]:
    """What is wrong, in words, with values that every downscaler of block means has. Raises UserError for bounds."""
    data, wrong = config['data'], []
    low, high = limits(data['bounds'], data['variables'])
    if data['patches_per_record'] < 1:
        wrong.append(f'data.patches_per_record={data["patches_per_record"]}: at least 1 is needed')
    if config['evaluation']['times'] < 0:
        wrong.append(f'evaluation.times={config["evaluation"]["times"]}: 0 (all) or more are needed')
    if config['sampling']['conserve'] and not (np.isin(low, (0, -np.inf)) & (high == np.inf)).all():
        wrong.append(
            f'sampling.conserve with data.bounds={tuple(data["bounds"])}: a mean can be kept with the lower bound 0 or '
            'none, and without an upper one'
        )
    return wrong


def check_drawn(members: int, seed: int, flag: str = '') -> None:
    """Raises UserError for an ensemble that cannot be drawn; `flag` is how its arguments are written."""
    if members < 1:
        raise UserError(f'{flag}members={members}: at least 1 is needed')
    if not 0 <= seed < 2**32:
        raise UserError(f'{flag}seed={seed} must lie between 0 and 2^32 - 1')


class Downscaler(WorkDirectory):
    """A trained downscaler; its system tells by `sampling_of(config)` how fields are drawn."""

    def __init__(self, system: ModuleType, workdir: str | Path, given: Mapping[str, Any] | None = None):
        super().__init__(system, workdir, given)
        self.sampling = system.sampling_of(self.config)
        self.generator = cache(self._generator)  # restored and compiled once

    def _generator(self, name: str) -> Generator:
        """The task of that name with its best parameters, at the noise temperature of the config, or 1."""
        task, state = self.tasks[name], jax.device_get(self.restored(name))
        return Generator(task, task.inference_params(state), self.prepared.field_transform, self.sampling)

    def best(self) -> Generator:
        """What downscales: the last task."""
        return self.generator(self.last)

    def attributes(self) -> dict[str, Any]:
        """Provenance for what this model generates."""
        found, targets = self.prepared.meta['attributes'], self.prepared.field_transform.targets
        # those of a single variable, or of several by name
        known = found if self.prepared.meta.get('kind') == 'block_means' else dict.fromkeys(targets, found)
        return {
            'title': f'{" and ".join(targets)} downscaled by {self.last}',
            'history': self.provenance(self.last),
            'variables': {name: {k: v for k, v in known[name].items() if k in NAMES} for name in targets},
        }

    def downscale(
        self,
        dataset: xr.Dataset,
        members: int = 8,
        seed: int = 0,
        statics: xr.Dataset | None = None,
        overlap: Sequence[str] = (),
    ) -> xr.Dataset:
        """An ensemble of fine fields (member, time, y, x) for every time of a coarse data set.

        `dataset` holds the inputs of training: on any grid (`geometry.interpolation.ToFine` says how it is brought to
        the fine one), or, where the model refines block means, on the grid of the blocks. `statics`: another fine
        grid, with what networks are shown (`downscale.region`), by default that of training. The same seed gives the
        same members; a generator that draws none gives one. `overlap`, a first and a last date: where the data set is
        of another source than training, its bias over that period, against the climate of training, is corrected by
        quantile mapping (block means only).

        Raises UserError for missing variables, units that do not convert, grids that do not fit.
        """
        check_drawn(members, seed)
        trained, generator = self.prepared.statics, self.best()
        fine = trained if statics is None else self.fine_grid(statics, 'statics')
        count = members if generator.draws else 1
        corrected = self.correction(dataset, overlap, 'the data set')
        return ensemble.in_memory(generator, dataset, fine, count, seed, self.attributes(), corrected)

    def fine_grid(self, dataset: xr.Dataset, source: str) -> xr.Dataset:
        """That of another region, with what networks are shown. Raises UserError, see `downscale.region`."""
        transform = self.prepared.field_transform
        shown = transform.context if isinstance(transform, BlockMeans) else ()
        return fine_grid(dataset, source, self.prepared.statics, shown)

    def correction(self, dataset: xr.Dataset, overlap: Sequence[str], source: str) -> QuantileMap | None:
        """What corrects the data set, None without an `overlap`. Raises UserError, see `downscale.correction`."""
        if not overlap:
            return None
        prepared, climate = self.prepared, read_climate(self.workdir)
        return correction(dataset, prepared.transform_as(BlockMeans), prepared.statics, climate, overlap, source)
