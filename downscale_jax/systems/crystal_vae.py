"""Crystal VAE: a latent space of images of particles (docs/systems/crystal_vae.md)."""

import jax
import numpy as np
import xarray as xr

from downscale_jax.evaluation.clusters import evaluate as cluster_evaluation
from downscale_jax.evaluation.clusters.evaluate import LatentModel
from downscale_jax.fields.images.reading import Given as GivenImages
from downscale_jax.fields.images.reading import as_views
from downscale_jax.fields.images.silhouettes import framed
from downscale_jax.pipeline.images import Images
from downscale_jax.pipeline.records import Prepared
from downscale_jax.settings.vae import CrystalVaeSettings
from downscale_jax.systems import latents
from downscale_jax.systems.checks import check_extra
from downscale_jax.systems.latents import LatentSpace
from downscale_jax.systems.system import Config, Scores, Shapes, System
from downscale_jax.tasks.vae import Vae


def shape(config: Config) -> tuple[int, int, int]:
    """Of an image."""
    return (config['data']['size'], config['data']['size'], 1)


def build(config: Config) -> dict[str, Vae]:
    """An autoencoder for each number of latents."""
    return latents.build(config, shape(config))


def check(config: Config, training: bool = False) -> None:
    """See `system.Check`: the extra that simulates particles."""
    if training and not config['data']['path']:
        check_extra('crystals', ('manifold3d', 'trimesh'))


def shapes(config: Config) -> Shapes:
    """One image."""
    return {'image': jax.ShapeDtypeStruct(shape(config), np.float32), 'label': jax.ShapeDtypeStruct((), np.int32)}


def examples(config: Config, prepared: Prepared, split: str) -> Images:
    """Images of one split, in training turned and reflected."""
    return Images(prepared, split, config['seed'], symmetry='rotated' if split == 'train' else '')


class CrystalLatents(LatentSpace):
    """A trained latent space."""

    def embed(self, images: GivenImages) -> xr.DataArray:
        """Codes (image, latent) of photographs (image, y, x): a folder of PNG files, an .npz file or a Zarr store with
        `images`, or an array.

        Each is reduced to its silhouette, which is centred and fills 0.9 of the image. Raises UserError for images of
        several sizes and empty silhouettes, and WrongTypeError (a TypeError) for other types.
        """
        silhouettes = framed(as_views(images, 1), self.config['data']['size'])
        return xr.DataArray(self.codes(silhouettes), dims=('image', 'latent'), name='code')


def evaluate(opened: CrystalLatents, prepared: Prepared) -> Scores:
    """Scores clusters in the latent space against labels."""
    model = LatentModel(list(opened.tasks), opened.codes, opened.images, opened.provenance(opened.last))
    return cluster_evaluation.evaluate(model, prepared, opened.config, opened.workdir)


SYSTEM: System[Vae, CrystalLatents] = System(
    settings=CrystalVaeSettings,
    build=build,
    check=check,
    shapes=shapes,
    examples=examples,
    initialise=latents.initialise,
    networks=latents.networks,
    opened=CrystalLatents,
    evaluate=evaluate,
)
