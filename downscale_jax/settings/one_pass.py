"""Settings of the generator: diffusion, or members in one pass."""

from typing import Annotated

from downscale_jax.settings.kinds import OneOf, Section, about, above, within

GENERATORS = ('diffusion', 'one_pass')
Generator = Annotated[str, OneOf(GENERATORS)]


class OnePassSettings(Section):
    """Training of `tasks.one_pass.OnePass`, where it is the generator."""

    members: Annotated[int, within(2, 64)] = about('members of each example in training')
    steps_share: Annotated[float, above(0, 100)] = about('steps of training over those of each phase')
