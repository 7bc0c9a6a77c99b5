"""AtmoDist's encoder in the content loss of an SRGAN: opened from its work directory, and checked against the SRGAN."""

from pathlib import Path

import jax
import numpy as np

from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.models.atmodist import part
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError
from downscale_jax.systems import atmodist
from downscale_jax.systems.content_weight import LagClasses, distances_by_lag
from downscale_jax.systems.system import Config
from downscale_jax.systems.workdir import read_config
from downscale_jax.tasks.content import Content, Learned, fit_alpha

TOLERANCE = 1e-3  # of the statistics of two transforms, as a share of a standard deviation


def load_encoder(content: Content, config: Config, prepared: Prepared) -> Learned:
    """The trained encoder, and alpha fitted on the training data of the SRGAN."""
    opened = open_encoder(config)
    encoder = part(opened.task.inference_params(jax.device_get(opened.restored(opened.last))), 'encoder')
    lags = LagClasses(opened.config['data']['lags'], opened.config['data']['step_hours'])
    patch, scale = config['data']['patch'], config['content']['scale']
    alpha = fit_alpha(*distances_by_lag(content, encoder, prepared, patch, lags, scale))
    messages.info(f'content loss: {opened.provenance(opened.last)}, stage {content.stage}, alpha {alpha:.4g}')
    return Learned(encoder, np.float32(alpha))


def open_encoder(config: Config) -> atmodist.LearnedDistance:
    """The work directory `content.workdir`.

    Raises UserError where it is not one of AtmoDist, or has other variables, another transform or other layers.
    """
    section, data = config['content'], config['data']
    path = section['workdir']
    if not path:
        raise UserError("contents has 'atmodist': set content.workdir to the work directory of a trained AtmoDist")
    theirs = read_config(Path(path))
    if theirs['system'] != 'atmodist':
        raise UserError(f"content.workdir={path} was made by system '{theirs['system']}': an AtmoDist is needed")
    if tuple(data['variables']) != tuple(theirs['data']['variables']):
        raise UserError(
            f'data.variables={tuple(data["variables"])}, but the AtmoDist in {path} was trained on '
            f'{tuple(theirs["data"]["variables"])}'
        )
    if data['transform'] != 'log':
        raise UserError(
            f"data.transform='{data['transform']}', but the AtmoDist in {path} was trained on log-transformed fields: "
            'set data.transform=log'
        )
    if atmodist.encoder_of(section['model']) != atmodist.encoder_of(theirs['model']):
        layers = {key: value for key, value in theirs['model'].items() if key != 'tail'}
        raise UserError(f'content.model differs from the encoder in {path}: set it to {layers}')
    return atmodist.SYSTEM.open(path)


def check_transforms(ours: Standardisation, theirs: Standardisation, workdir: Path) -> None:
    """Raises UserError where two transforms would show a network different fields."""
    units = np.array(theirs.std)
    deviations = [
        np.abs(np.array(ours.mean) - theirs.mean) / units,
        np.abs(np.array(ours.std) / units - 1),
        np.abs(np.array(ours.log_std) / np.array(theirs.log_std) - 1),
    ]
    if ours.units != theirs.units or np.max(deviations) > TOLERANCE:
        raise UserError(
            f'the transform of the AtmoDist in {workdir} has other statistics (standard deviations {theirs.std} '
            f'{theirs.units}, here {ours.std} {ours.units}): train both on the same fields and the same data.train'
        )
