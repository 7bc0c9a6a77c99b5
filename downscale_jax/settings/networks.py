"""Settings of networks that several systems share."""

from typing import Annotated

from downscale_jax.settings.kinds import Blocks, Dtype, OneOf, Section, Width, Widths, about, entries, shares, within


class UNetSettings(Section):
    """The residual U-Net: `models.unet.UNet`."""

    widths: Widths = about('channels of each level, the finest first')
    bottleneck: Width = about('channels of the coarsest level')
    blocks: Blocks = about('residual blocks per level')
    embedding: Annotated[int, within(2, 4096, multiple_of=2)] = about('size of the embedding of the noise level')
    stem: Annotated[int, within(1, 64)] = about('cells per side that the first convolution merges')
    tail: Annotated[int, within(0, 4096)] = about('channels of the tail; 0: a single 1 x 1 convolution')
    time: Annotated[str, OneOf(('input', 'blocks'))] = about('where the noise level enters: once, or in every block')


class EncoderSettings(Section):
    """AtmoDist's encoder: `models.atmodist.Encoder`."""

    widths: Widths = about('channels of each stage')
    blocks: Blocks = about('residual blocks per stage')
    stem: Annotated[int, within(1, 64)] = about('cells per side of the first convolution')
    pool: bool = about('halve the resolution once more before the first stage')
    momentum: Annotated[float, shares()] = about('momentum of the running batch statistics')
    dtype: Dtype = about('precision of the computation')


class DiscriminatorSettings(Section):
    """SRGAN's discriminator: `models.srgan.Discriminator`."""

    widths: Widths = about('channels after each halving of the resolution')
    dense: Width = about('width of the dense layer')


Factors = Annotated[tuple[Annotated[int, within(2, 100)], ...], entries(1, 12)]
