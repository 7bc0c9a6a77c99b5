"""Members of an ensemble in chunks of cells, and the check that they are finite."""

from collections.abc import Iterator

import numpy as np

_VALUES = 1 << 22  # at a time: 32 MB in float64 however many members and cells


def require_finite(members: np.ndarray, counted: np.ndarray) -> None:
    """Raises ValueError where members [..., P] or [..., H, W] are not finite at cells that are `counted` [P] or [H, W].

    Scoring a method on fewer cells than the others would be unfair to them: the caller gives such cells weight 0 for
    all methods.
    """
    finite = np.isfinite(members).all(tuple(range(members.ndim - counted.ndim)))
    if missing := np.sum(~finite & counted):
        raise ValueError(
            f'{missing} of {counted.sum()} valid cells are not finite in a member or field; give them weight 0'
        )


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
        require_finite(x, np.ones(chosen.size, bool))
        yield chosen, x
