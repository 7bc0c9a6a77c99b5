"""Cloud VAE: a latent metric for simulations of clouds (docs/systems/cloud_vae.md)."""

from collections.abc import Callable

import jax
import numpy as np
import xarray as xr

from downscale_jax.evaluation.clouds import evaluate as cloud_evaluation
from downscale_jax.evaluation.clouds.evaluate import CloudModel
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.pipeline.images import Images
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError
from downscale_jax.settings.images import CLOUD_SHAPE
from downscale_jax.settings.vae import CloudVaeSettings
from downscale_jax.systems import latents
from downscale_jax.systems.latents import LatentSpace
from downscale_jax.systems.system import Config, Scores, Shapes, System
from downscale_jax.tasks.vae import Vae

SHAPE = (*CLOUD_SHAPE, 3)


def build(config: Config) -> dict[str, Vae]:
    """An autoencoder for each number of latents."""
    return latents.build(config, SHAPE)


def check(config: Config, training: bool = False) -> None:
    """See `system.Check`: nothing beyond the description."""


def shapes(config: Config) -> Shapes:
    """One image."""
    return {'image': jax.ShapeDtypeStruct(SHAPE, np.float32), 'label': jax.ShapeDtypeStruct((), np.int32)}


def examples(config: Config, prepared: Prepared, split: str) -> Images:
    """Images of one split."""
    return Images(prepared, split, config['seed'])


class CloudLatents(LatentSpace):
    """A trained latent metric."""

    def translated(self, codes: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> np.ndarray:
        """Codes [N, L] of images [N, z, x, C], averaged over `model.translations` evenly spaced translations in x."""
        count, cells = self.config['model']['translations'], images.shape[2]
        return np.mean([codes(np.roll(images, cells * k // count, 2)) for k in range(count)], 0)

    def embed(self, fields: store.Given) -> xr.DataArray:
        """Codes (time, latent) of fields (time, z, x), periodic in x, with the variables and the size of training.

        They are averaged over translations in x (`model.translations`): where in the domain an eddy is does not count.

        Raises UserError for missing variables or values, units that cannot be converted, and another size.
        """
        dataset = store.as_dataset(fields, 'fields')
        codes = self.translated(self.codes, self._stacked(dataset))
        coords = {'time': dataset['time'].values} if 'time' in dataset.coords else {}
        return xr.DataArray(codes, coords, ('time', 'latent'), 'code')

    def distance(self, a: store.Given, b: store.Given) -> xr.DataArray:
        """Mean squared difference of the codes of `a` and `b`, (time,), whose times are paired in order.

        Raises UserError as `embed` does, and for different numbers of times.
        """
        first, second = self.embed(a), self.embed(b)
        if first.shape != second.shape:
            raise UserError(f'a distance needs as many times in both data sets, found {len(first)} and {len(second)}')
        return ((first - second.values) ** 2).mean('latent').rename('distance')

    def _stacked(self, dataset: xr.Dataset) -> np.ndarray:
        """[time, z, x, C] in the units of training, compared with its range."""
        channels = self.transform.channels
        missing = [name for name in channels.variables if name not in dataset]
        if missing:
            raise UserError(f"the fields lack '{missing[0]}': give {', '.join(channels.variables)}")
        planes = [
            convert_units(dataset[name], unit) for name, unit in zip(channels.variables, channels.units, strict=True)
        ]
        values = np.stack([np.asarray(plane.values, np.float32) for plane in planes], -1)
        if values.ndim != 4 or values.shape[1:] != SHAPE:
            raise UserError(f'the fields have {values.shape[1:-1]} cells, but {SHAPE[:2]} are needed: (time, z, x)')
        if not np.isfinite(values).all():
            raise UserError(
                f'the fields have no value in {np.mean(~np.isfinite(values)):.2g} of their cells: fill them'
            )
        self.prepared.training_range().check(values, 'the fields', first=True)
        return values


def evaluate(opened: CloudLatents, prepared: Prepared) -> Scores:
    """Scores reconstruction, distances and their smoothness on the members of the test split."""
    model = CloudModel(
        names=list(opened.tasks),
        codes=opened.codes,
        untrained=opened.untrained_codes,
        images=opened.images,
        translated=opened.translated,
        provenance=opened.provenance(opened.last),
    )
    return cloud_evaluation.evaluate(model, prepared, opened.config, opened.workdir)


SYSTEM: System[Vae, CloudLatents] = System(
    settings=CloudVaeSettings,
    build=build,
    check=check,
    shapes=shapes,
    examples=examples,
    initialise=latents.initialise,
    networks=latents.networks,
    opened=CloudLatents,
    evaluate=evaluate,
)
