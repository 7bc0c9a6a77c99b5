"""Settings of `training`: batches, intervals, and phases with their optimisers."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import ConfigDict, Field, model_validator

from downscale_jax.runtime.errors import suggestion
from downscale_jax.settings.kinds import (
    INT32,
    Count,
    Distinct,
    Name,
    OneOf,
    Section,
    about,
    above,
    conflict,
    entries,
    shares,
    within,
)

Whole = Annotated[int, within(0, INT32)]
Rate = Annotated[float, within(0, 10)]


class PhaseSettings(Section):
    """A phase of training: `training.optimizer.Phase`."""

    steps: Count = about('steps of the phase')
    learning_rate: Annotated[float, above(0, 10)] = about('learning rate after the warm-up')
    warmup: Whole = about('steps of linear warm-up from zero, at most half of the phase', default=0)
    schedule: Annotated[str, OneOf(('cosine', 'constant'))] = about('learning rate after the warm-up', default='cosine')
    final_rate: Rate = about('learning rate to which cosine decays', default=0.0)
    clip: Annotated[float, within(0, 1e6)] = about('largest norm of the gradient; 0: no clipping', default=1.0)
    clip_each: bool = about('clip the norm of each tensor instead of the global norm', default=False)
    weight_decay: Rate = about('decoupled weight decay of AdamW and Muon', default=0.0)
    beta2: Annotated[float, shares()] = about("decay of AdamW's second moments", default=0.99)
    optimizer: Annotated[str, OneOf(('adamw', 'muon', 'sgd'))] = about('optimiser', default='adamw')
    momentum: Annotated[float, shares()] = about('momentum of sgd', default=0.9)
    nesterov: bool = about('whether sgd uses Nesterov momentum', default=False)
    keep_moments: bool = about('start from the moments of the optimiser at the end of the phase before', default=False)
    examples: Whole = about('size of a fixed subset of the training split; 0: all', default=0)
    plateau_every: Whole = about('steps per average of the loss in the plateau rule; 0: no rule', default=0)
    plateau_patience: Count = about('averages without a new minimum before the rate falls', default=8)
    plateau_delta: Annotated[float, within(0, 1e6)] = about('least decrease that makes a new minimum', default=0.04)
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = about('factor of the rate after a plateau', default=0.1)
    plateau_floor: Rate = about('lower bound of the rate', default=1e-5)


class Training(Section):
    """Training of every system; phases are sections under names that the config chooses."""

    CHOSEN: ClassVar[type[Section]] = PhaseSettings
    model_config = ConfigDict(extra='allow')
    __pydantic_extra__: dict[str, PhaseSettings] = Field(init=False)

    batch_size: Count = about('examples per step, over all devices')
    accumulate: Count = about('microbatches per step; a divisor of the rows of each device')
    log_every: Count = about('steps per row of the log')
    validate_every: Count = about('steps between validations and checkpoints; a multiple of log_every')
    validation_batches: Annotated[int, within(1, 100_000)] = about('batches of a validation')
    keep: Annotated[int, within(1, 10_000)] = about('newest checkpoints kept, besides the best')
    phases: Annotated[tuple[Name, ...], entries(1), Distinct()] = about('phases in their order')

    @property
    def chosen(self) -> Mapping[str, PhaseSettings]:
        """The phases that the config describes."""
        return self.__pydantic_extra__

    @model_validator(mode='after')
    def consistent(self) -> Self:
        known = self.chosen
        for name in self.phases:
            if name not in known:
                raise conflict(f"training.phases: unknown phase '{name}': {suggestion(name, known)}")
        if self.validate_every % self.log_every:
            raise conflict(
                f'training.validate_every={self.validate_every} is not a multiple of training.log_every='
                f'{self.log_every}: choose a multiple'
            )
        return self


class AveragedTraining(Training):
    """With an exponential moving average of the parameters."""

    ema_decay: Annotated[float, shares()] = about('decay of the average of the parameters; 0: no average')
