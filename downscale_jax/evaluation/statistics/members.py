"""The members of an ensemble, walked through with little memory, and the numbers of them whose means are scored."""

from collections.abc import Iterator, Sequence

import numpy as np

COUNTS = (1, 5, 10, 33, 100)
_VALUES = 1 << 22  # at a time: 32 MB in float64 however many members and cells


def kept(counts: Sequence[int], members: int) -> list[int]:
    """The counts that an ensemble of so many members has."""
    return [n for n in counts if n <= members]


def chunks(members: np.ndarray, counted: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(flat indices [P] of cells, their values [M, P] in float64) over the cells that are `counted` [H, W] bool.

    Raises ValueError where a member [M, H, W] is not finite at such a cell.
    """
    if members.ndim != 3 or members.shape[1:] != counted.shape or not len(members):
        raise ValueError(f'members are {members.shape}, cells {counted.shape}; expected [M, H, W] and [H, W]')
    cells, flat = np.flatnonzero(counted), members.reshape(len(members), -1)
    size = max(1, _VALUES // len(members))
    for start in range(0, cells.size, size):
        chosen = cells[start : start + size]
        x = flat[:, chosen].astype(np.float64)
        if missing := np.sum(~np.isfinite(x).all(0)):
            raise ValueError(f'{missing} of {chosen.size} valid cells are not finite in a member; give them weight 0')
        yield chosen, x
