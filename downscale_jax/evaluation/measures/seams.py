"""Seams of tiles: members in tiles against the same members, from the same noise, in tiles that end elsewhere.

The latter are the control: terrain and coasts, steep along some lines by nature, are in both and cancel.
Gradients are differences of neighbouring cells, downwards across borders between rows and sideways across borders
between columns.

    seam = (mean |gradient| at borders / elsewhere) / (at the same lines / elsewhere, in the control)    1 without any
    step = rms of the gradients' difference from the control's at borders / rms of the control's at borders   0 without

The first misses steps and smoothing that cancel, the second what lies off the borders. Borders are the edges of
tiles, where a network saw the padding of its convolutions, and the middles of overlaps, where one tile hands over to
the next; lines that are borders of the control too do not count, nor does the date line of a periodic grid. Elsewhere
neither has a border.
"""

import numpy as np

from downscale_jax.evaluation.protocol import Retiled, Sample, Setting
from downscale_jax.evaluation.results import Estimate, Result, certain
from downscale_jax.evaluation.statistics.bootstrap import Sums, ratio, total

Lines = tuple[np.ndarray, np.ndarray]  # between rows and between columns: k is the line between cells k - 1 and k
BORDER, ELSEWHERE, OTHER = range(3)


class Seams:
    """Scores of whole ensembles; a few times are generated anew for them."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def add(self, sample: Sample) -> None:
        """Nothing: seams are scored on members of their own."""

    def result(self) -> Result:
        setting, notes = self._setting, []
        scores: dict[str, dict[str, Estimate]] = {}
        for generator, retile in setting.retile.items():
            if (retiled := retile()) is None:
                notes.append(f'Seams of {generator}: not scored, the domain is no larger than a patch of training.')
                continue
            by_score, method = scored(retiled), setting.ensembles[generator][-1]
            scores[method] = {
                setting.name(name, variable): certain(float(values[index]))
                for name, values in by_score.items()
                for index, variable in enumerate(setting.variables)
            }
            times, members = retiled.fields.shape[:2]
            sizes, against = (' x '.join(map(str, shape)) for shape in (retiled.sizes, retiled.control_sizes))
            notes.append(
                f'Seams of {generator}: tiles of {sizes} cells that overlap by {retiled.overlap}, against the same '
                f'members in tiles of {against}; {members} members, {times} times.'
            )
        return Result(scores, notes=notes)


def scored(retiled: Retiled) -> dict[str, np.ndarray]:
    """{'seam', 'step': [V]}, all times together."""
    by_variable = []
    for v in range(retiled.fields.shape[-1]):
        times = zip(retiled.fields[..., v], retiled.control[..., v], retiled.weight[..., v], strict=True)
        sums = [day_sums(*time, retiled.lines, retiled.control_lines) for time in times]
        by_variable.append(summarise(total(sums)))
    return {name: np.array([one[name] for one in by_variable]) for name in by_variable[0]}


def borders(shape: tuple[int, int], origins: np.ndarray, sizes: tuple[int, int]) -> Lines:
    """Of tiles with origins [T, 2] (row, column) and sizes (h, w), as `Tiling` has them, in a domain of this shape.

    Along a side that one tile spans there are none. Of an overlap of an odd number of cells, the lines on both sides of
    its middle cell are taken. Tiles that begin before the domain or grow beyond it have no border there.
    """
    rows, columns = (_borders(n, np.unique(origins[:, axis]), sizes[axis]) for axis, n in enumerate(shape))
    return rows, columns


def _borders(n: int, starts: np.ndarray, size: int) -> np.ndarray:
    begin, end = starts[1:], starts[:-1] + size
    lines = np.unique([begin, end, (begin + end) // 2, -(-(begin + end) // 2)])
    return lines[(lines > 0) & (lines < n)].astype(int)


def own_share(lines: Lines, control: Lines) -> float:
    """Of borders, the share that the control does not have; 0 without any."""
    own = sum(np.setdiff1d(one, other).size for one, other in zip(lines, control, strict=True))
    return own / max(sum(one.size for one in lines), 1)


def day_sums(
    fields: np.ndarray, others: np.ndarray, weight: np.ndarray, lines: Lines, control: Lines
) -> dict[str, np.ndarray]:
    """Sums of one time, float64, between rows and between columns: {'gradient' [2, 2, 2], by field, direction, at
    borders and elsewhere; 'gradient_weight' [2, 2]; 'squares' [2, 2], of the difference and of the control at borders}.

    fields [..., H, W], such as members, over which is averaged, and the same of the control, with the borders of both;
    weight [H, W], 0 where a cell does not count. A pair of cells counts by the lesser of their weights, where both are
    finite in all fields. Raises ValueError where shapes differ.
    """
    if not (fields.shape == others.shape and fields.shape[-2:] == weight.shape):
        raise ValueError(f'fields are {fields.shape} and {others.shape}, weight {weight.shape}: alike, and [H, W]')
    several, controls = (one.reshape(-1, *weight.shape) for one in (fields, others))
    known = np.isfinite(several).all(0) & np.isfinite(controls).all(0) & (weight > 0)
    w = np.where(known, weight, 0).astype(np.float64)
    gradient, gradient_weight, squares = np.zeros((2, 2, 2)), np.zeros((2, 2)), np.zeros((2, 2))
    for axis in (0, 1):
        pairs = np.minimum(*(np.take(w, np.arange(w.shape[axis] - 1) + step, axis) for step in (0, 1)))
        places = _places(w.shape[axis], lines[axis], control[axis])

        def at(values: np.ndarray, axis=axis, pairs=pairs, places=places) -> np.ndarray:
            """[2], of values by pair of cells the sums at borders and elsewhere."""
            return np.bincount(places, np.sum(pairs * values, 1 - axis), 3)[:OTHER]

        gradient_weight[axis] = at(np.ones(pairs.shape))
        # one field at a time: a few domains in float64 whatever the number of members
        for pair in zip(several, controls, strict=True):
            one, other = (_steps(field, known, axis) for field in pair)
            gradient[:, axis] += np.stack([at(np.abs(one)), at(np.abs(other))]) / len(several)
            squares[:, axis] += np.stack([at((one - other) ** 2), at(other**2)])[:, BORDER] / len(several)
    return {'gradient': gradient, 'gradient_weight': gradient_weight, 'squares': squares}


def _places(n: int, lines: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Of the n - 1 lines of an axis: borders, elsewhere, or those of the control."""
    own, others = (np.isin(np.arange(1, n), borders) for borders in (lines, control))
    return np.select([others, own], [OTHER, BORDER], ELSEWHERE)


def _steps(field: np.ndarray, known: np.ndarray, axis: int) -> np.ndarray:
    """Differences of neighbours along an axis, one fewer than cells; of cells that are not known [H, W], anything."""
    return np.diff(np.where(known, field, 0).astype(np.float64), axis=axis)


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """{'seam', 'step'} [...] from sums over times with any leading axes; seam: mean over both directions by the weight
    of their borders. NaN without borders that the control does not have."""
    steepness = ratio(sums['gradient'], sums['gradient_weight'][..., None, :, :])
    relative = ratio(steepness[..., BORDER], steepness[..., ELSEWHERE])
    seams = ratio(relative[..., 0, :], relative[..., 1, :])
    share = np.where(np.isfinite(seams), sums['gradient_weight'][..., BORDER], 0)
    difference, control = np.moveaxis(sums['squares'].sum(-1), -1, 0)
    return {
        'seam': ratio(np.sum(share * np.nan_to_num(seams), -1), share.sum(-1)),
        'step': np.sqrt(ratio(difference, control)),
    }
