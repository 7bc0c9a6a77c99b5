"""Probability of a class over images of any size: a segmentation applied in overlapping tiles, which are averaged."""

from functools import cache

import jax
import numpy as np

from downscale_jax.downscale.tiles import Tiling
from downscale_jax.tasks.segmentation import Segmentation

BLOCK = 1024  # cells per side that are computed at once: memory does not grow with the image


class Mapper:
    """A trained segmentation with its tiles."""

    def __init__(self, task: Segmentation, variables: dict, tile: int, overlap: int):
        self.task, self.variables, self.tile, self.overlap = task, variables, tile, overlap
        self._program = cache(self._compile)

    def probability(self, image: np.ndarray, needed: np.ndarray) -> np.ndarray:
        """[H, W] float32 from a normalised image [H, W, C]; NaN in blocks where no cell is `needed` [H, W] bool."""
        shape = image.shape[:2]
        side = tuple(min(n, BLOCK + 2 * self.overlap) for n in shape)
        result = np.full(shape, np.nan, np.float32)
        for row in range(0, shape[0], BLOCK):
            for column in range(0, shape[1], BLOCK):
                core = np.s_[row : row + BLOCK, column : column + BLOCK]
                if not needed[core].any():
                    continue
                # every block has the same shape, so that one program serves all
                start = [max(0, min(at - self.overlap, n - m))
                         for at, n, m in zip((row, column), shape, side, strict=True)]  # fmt: skip
                window = tuple(slice(at, at + m) for at, m in zip(start, side, strict=True))
                block = np.asarray(self._program(side)(self.variables, image[window]))
                inside = np.s_[row - start[0] : row - start[0] + BLOCK, column - start[1] : column - start[1] + BLOCK]
                result[core] = block[inside]
        return result

    def _compile(self, shape: tuple[int, int]):
        stride = self.task.network.stride
        tiling = Tiling(shape, stride, self.tile // stride * stride, self.overlap)

        @jax.jit
        def program(variables, image):
            fused = tiling.apply(lambda tiles: self.task.probability(variables, tiles), tiling.pad(image[None]))
            return tiling.crop(fused)[0, ..., 0]

        return program
