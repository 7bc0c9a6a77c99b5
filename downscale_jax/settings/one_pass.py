"""Settings of the generator: diffusion, or members in one pass."""

from typing import Annotated

from downscale_jax.settings.kinds import OneOf, Section, about, conflict, within
from downscale_jax.settings.training import Training

ONE_PASS = 'one_pass'  # also the phase of its training
GENERATORS = ('diffusion', ONE_PASS)
Generator = Annotated[str, OneOf(GENERATORS)]


class OnePassSettings(Section):
    """Training of `tasks.one_pass.OnePass`, where it is the generator."""

    members: Annotated[int, within(2, 64)] = about('members of each example in training')


def check_generator(generator: str, training: Training) -> None:
    """Raises a conflict where the one-pass generator has no phase of training."""
    if generator == ONE_PASS and ONE_PASS not in training.chosen:
        raise conflict(f"generator='{ONE_PASS}': training has no phase '{ONE_PASS}'; add training.{ONE_PASS}")
