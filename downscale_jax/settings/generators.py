"""Settings of the generator: diffusion, the same distilled to a few evaluations, or members in one pass."""

from typing import Annotated

from downscale_jax.settings.kinds import OneOf, Section, about, above, within

GENERATORS = ('diffusion', 'distilled', 'one_pass')
Generator = Annotated[str, OneOf(GENERATORS)]
StepsShare = Annotated[float, above(0, 100)]


class OnePassSettings(Section):
    """Training of `tasks.one_pass.OnePass`, where it is the generator."""

    members: Annotated[int, within(2, 64)] = about('members of each example in training')
    steps_share: StepsShare = about('training steps relative to those of each phase')
    noise: Annotated[str, OneOf(('field', 'vector', 'both'))] = about(
        "one number per cell, next to the condition, a 'vector' of 32 numbers in every block of the network, or both"
    )


class DistillationSettings(Section):
    """Training of `tasks.distilled.Distilled`, where it is the generator."""

    evaluations: Annotated[int, within(1, 1000)] = about('evaluations of the network per member')
    teacher_evaluations: Annotated[int, within(1, 10_000)] = about(
        'evaluations per member of the diffusion that is distilled, rounded up to a multiple of evaluations'
    )
    steps_share: StepsShare = about('training steps relative to those of each phase')
