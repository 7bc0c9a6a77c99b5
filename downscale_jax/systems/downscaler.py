"""A trained downscaler: a work directory that turns coarse data sets into ensembles of fine fields."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jax
import xarray as xr

from downscale_jax.downscale.comparison import ComparedInputs
from downscale_jax.downscale.correction import correction, pair_correction, read_climate
from downscale_jax.downscale.dataset import Provenance, in_memory
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.inputs import Inputs
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.pair_inputs import GridCorrection, as_in_training
from downscale_jax.downscale.region import fine_grid
from downscale_jax.downscale.settings import GenerationSettings
from downscale_jax.fields.datasets import store
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.pairs import PairTransform
from downscale_jax.fields.transforms.quantile_mapping import QuantileMap
from downscale_jax.pipeline.records import Prepared
from downscale_jax.settings.check import check
from downscale_jax.settings.kinds import Members, Section, Seed, about
from downscale_jax.systems.system import Config, Given, Scores, System
from downscale_jax.systems.workdir import WorkDirectory

KEPT = ('standard_name', 'long_name', 'cell_methods')  # attributes of the training data


def sampling_of(config: Config) -> GenerationSettings:
    """The section `sampling` of a config."""
    return GenerationSettings.from_config(config['sampling'])


class Drawn(Section):
    """Arguments of an ensemble."""

    members: Members = about('members of the ensemble')
    seed: Seed = about('seed of the noise')


def check_drawn(members: int, seed: int, flag: str = '') -> None:
    """Raises UserError for invalid members or seed; `flag` is the prefix of their names."""
    check(Drawn, {'members': members, 'seed': seed}, flag)


def evaluate(opened: 'Downscaler', prepared: Prepared) -> Scores:
    """Scores every task, the last as it downscales, beside the baselines."""
    from downscale_jax.evaluation import fields

    generators = {name: opened.generator(name) for name in opened.tasks} | {opened.last: opened.best()}
    return fields.evaluate(generators, prepared, opened.config, opened.workdir)


class Downscaler(WorkDirectory[Any]):
    """A trained downscaler; the section `sampling` of its config says how fields are generated."""

    def __init__(self, system: System[Any, Any], workdir: str | Path, given: Given | None = None):
        super().__init__(system, workdir, given)
        self.settings = sampling_of(self.config)
        self.generator = cache(self._generator)  # restored and compiled once

    def _generator(self, name: str) -> FieldGenerator:
        """The task of that name with its best parameters, with the settings of the config."""
        task, state = self.tasks[name], jax.device_get(self.restored(name))
        return FieldGenerator(task, task.inference_params(state), self.prepared.field_transform, self.settings)

    def best(self) -> FieldGenerator:
        """The generator that downscales: the last task."""
        return self.generator(self.last)

    def attributes(self) -> Provenance:
        """Provenance of the data sets that this model generates."""
        attributes, targets = self.prepared.attributes, self.prepared.field_transform.targets
        return Provenance(
            title=f'{" and ".join(targets)} downscaled by {self.last}',
            history=self.provenance(self.last),
            variables={name: {k: v for k, v in attributes[name].items() if k in KEPT} for name in targets},
        )

    def downscale(
        self,
        dataset: store.Given,
        members: int = 8,
        seed: int = 0,
        statics: store.Given | None = None,
        overlap: Sequence[str] = (),
    ) -> xr.Dataset:
        """An ensemble of fine fields (member, time, y, x) for every time of a coarse data set.

        `dataset` holds the inputs of training on any grid (interpolated by `fields.interpolation.ToFine`) or, for a
        model of block means, on the grid of the blocks; for a model of pairs, levels may be a dimension. `statics` is
        another fine grid with the static fields that networks are shown (`downscale.region`), by default that of
        training. The same seed gives the same members; a deterministic model gives a single one. For a data set of
        another source than the training data, `overlap`, a first and a last date, is the period over which its bias
        against the training climate is corrected by quantile mapping (block means and pairs).

        Both are Datasets, DataArrays with the names of their variables, paths or lists of paths.

        Raises UserError for missing variables, units that do not convert and grids that do not fit, and WrongTypeError
        (a TypeError) for other types.
        """
        check_drawn(members, seed)
        dataset = store.as_dataset(dataset, 'dataset')
        trained, generator = self.prepared.statics, self.best()
        fine = trained if statics is None else self.fine_grid(store.as_dataset(statics, 'statics'), 'statics')
        count = members if generator.draws else 1
        source = dataset.encoding.get('source', 'the data set')
        inputs = self.open_inputs(dataset, fine, source, overlap)
        return in_memory(Ensemble(generator, inputs, fine, count, seed), self.attributes())

    def open_inputs(
        self,
        dataset: xr.Dataset,
        fine: xr.Dataset,
        source: str,
        overlap: Sequence[str] = (),
    ) -> Inputs:
        """The coarse inputs on the fine grid, corrected by quantile mapping where there is an `overlap`.

        They are compared with the range of training as they are read. Raises UserError for inputs that do
        not fit the model (`opening`, `correction`, `comparison`).
        """
        transform = self.prepared.field_transform
        if isinstance(transform, PairTransform):
            dataset = as_in_training(dataset, self.config['data'], source)
        correction = self.bias_correction(dataset, overlap, source)
        inputs = open_inputs(dataset, transform, fine, source, correction)
        return ComparedInputs(inputs, transform, self.prepared.training_range(), source)

    def fine_grid(self, dataset: xr.Dataset, source: str) -> xr.Dataset:
        """The fine grid of another region with what networks are shown. Raises UserError, see `downscale.region`."""
        transform = self.prepared.field_transform
        shown = transform.context if isinstance(transform, BlockMeans) else ()
        return fine_grid(dataset, source, self.prepared.statics, shown)

    def bias_correction(
        self, dataset: xr.Dataset, overlap: Sequence[str], source: str
    ) -> QuantileMap | GridCorrection | None:
        """The bias correction of the data set, None without an `overlap`. Raises UserError, see `correction`."""
        if not overlap:
            return None
        prepared, climate = self.prepared, read_climate(self.workdir)
        if isinstance(prepared.field_transform, PairTransform):
            transform, grid = prepared.field_transform, prepared.coarse_grid
            return pair_correction(dataset, transform, grid, climate, overlap, source)
        return correction(dataset, prepared.transform_as(BlockMeans), prepared.statics, climate, overlap, source)
