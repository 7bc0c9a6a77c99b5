"""Settings of the system `rosettes`."""

from typing import Annotated

from downscale_jax.settings.images import RosettesData
from downscale_jax.settings.kinds import Blocks, OneOf, Section, Seed, Width, Widths, about, entries, within
from downscale_jax.settings.training import AveragedTraining


class PropertyNetworkSettings(Section):
    """The network: `models.properties`."""

    trunk: Annotated[str, OneOf(('cnn', 'polar', 'resnet'))] = about(
        'kind of network; polar: a CNN on silhouettes in polar coordinates'
    )
    widths: Widths = about('channels after each halving of the resolution')
    dense: Annotated[tuple[Width, ...], entries(1, 12)] = about('of cnn and polar: widths of the dense layers')
    blocks: Blocks = about('of resnet: residual blocks per stage')
    stem: Annotated[int, within(1, 64)] = about('of resnet: pixels per side of the first convolution')
    pool: bool = about('of resnet: halve the resolution once more before the first stage')


class PropertyTraining(AveragedTraining):
    """Training on numbers and classes."""

    class_weight: Annotated[float, within(0, 1000)] = about(
        'weight of the cross-entropy of the classes relative to the squared error of the numbers'
    )


class RosettesEvaluation(Section):
    """Evaluation of the properties."""

    trees: Annotated[int, within(1, 10_000)] = about('trees of the random forest among the rivals')


class RosettesSettings(Section):
    """A config of the system."""

    system: Annotated[str, OneOf(('rosettes',))] = about('the system')
    seed: Seed = about('seed of weights, data, and noise')
    data: RosettesData
    model: PropertyNetworkSettings
    training: PropertyTraining
    evaluation: RosettesEvaluation
