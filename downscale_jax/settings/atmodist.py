"""Settings of the system `atmodist`."""

from typing import Annotated

from downscale_jax.settings.data import LagPairsData
from downscale_jax.settings.kinds import Count, Distinct, OneOf, Section, Seed, Width, about, entries, within
from downscale_jax.settings.networks import EncoderSettings
from downscale_jax.settings.training import Training

PRETEXTS = ('lags', 'inpainting')


class SiameseSettings(EncoderSettings):
    """The encoder and the tail that classifies lags."""

    tail: Width = about('channels of the tail that classifies lags')


class LagTraining(Training):
    """Training on lags."""

    l2: Annotated[float, within(0, 10)] = about('weight of the squared norm of the kernels in the loss')
    joint: bool = about('normalise both patches of a pair by common batch statistics instead of each by its own')


class LagEvaluation(Section):
    """Evaluation of the classification of lags."""

    pairs: Count = about('pairs of the test split')
    untrained_rival: bool = about('train a tail on an untrained encoder as a baseline')


class AtmoDistSettings(Section):
    """A config of AtmoDist."""

    system: Annotated[str, OneOf(('atmodist',))] = about('the system')
    seed: Seed = about('seed of weights, data, and noise')
    pretexts: Annotated[tuple[Annotated[str, OneOf(PRETEXTS)], ...], entries(1), Distinct()] = about(
        'tasks that train the encoder in turn'
    )
    data: LagPairsData
    model: SiameseSettings
    training: LagTraining
    evaluation: LagEvaluation
