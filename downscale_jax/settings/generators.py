"""Settings of the generator: diffusion, the same distilled to a few evaluations, or members in one pass."""

from typing import Annotated

from downscale_jax.settings.kinds import OneOf, Section, about, above, within

GENERATORS = ('diffusion', 'distilled', 'one_pass')
Generator = Annotated[str, OneOf(GENERATORS)]
StepsShare = Annotated[float, above(0, 100)]


class OnePassSettings(Section):
    """Training of `tasks.one_pass.OnePass`, where it is the generator."""

    members: Annotated[int, within(2, 64)] = about('members of each example in training')
    steps_share: StepsShare = about('steps of training over those of each phase')
    noise: Annotated[str, OneOf(('field', 'vector', 'both'))] = about(
        "a number for every cell, beside the condition, a 'vector' of 32 in every block of the network, or both"
    )


class DistillationSettings(Section):
    """Training of `tasks.distilled.Distilled`, where it is the generator."""

    evaluations: Annotated[int, within(1, 1000)] = about('evaluations of the network per member')
    teacher_evaluations: Annotated[int, within(1, 10_000)] = about(
        'evaluations of the diffusion per member that they replace, rounded up to a multiple'
    )
    steps_share: StepsShare = about('steps of training over those of each phase')
