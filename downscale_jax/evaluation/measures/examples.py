"""Maps of one scored time: the main method in full, and a window by every method."""

import numpy as np

from downscale_jax.evaluation.drawing import maps, window
from downscale_jax.evaluation.drawing.frame import frame_of
from downscale_jax.evaluation.protocol import Sample, Setting
from downscale_jax.evaluation.results import Figure, Result
from downscale_jax.fields.geometry.boxes import box_sums, largest

ZOOM = 96  # cells a side at most
FEWEST = 0.7  # share of the zoom that has values


class Examples:
    """The scored time at which the coarse field of the first variable errs most; figures, no score."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._frame = frame_of(setting.statics, setting.cell_km, setting.rows_run_up)
        self._worst = 0.0
        self._sample: Sample | None = None

    def add(self, sample: Sample) -> None:
        field = sample.field(self._setting, self._setting.baselines[0], 0)
        if not field.weight.any():
            return
        error = np.nansum(field.weight * np.square(field.truth - field.members[0], dtype=np.float64))
        if self._sample is None or error > self._worst:
            self._worst, self._sample = error, sample

    def result(self) -> Result:
        sample, setting = self._sample, self._setting
        if sample is None:
            return Result()
        figures = [self._map(sample, index) for index in range(len(setting.variables))]
        shown = {'coarse': sample.coarse}
        shown |= {method: sample.methods[method][0] for method in setting.shown if method in setting.complete}
        drawn = window.fields(
            {**shown, 'truth': sample.truth},
            setting.variables,
            setting.title,
            f'{sample.label}, a window of the domain; one member of each ensemble',
            self._frame,
        )
        caption = 'The same time in a window of the domain, by every method; the first member of each ensemble.'
        return Result(figures=[*figures, Figure('window', caption, drawn)])

    def _map(self, sample: Sample, index: int) -> Figure:
        setting, variable = self._setting, self._setting.variables[index]
        field = sample.field(setting, setting.main, index)
        single = [method for method in setting.singles if method != setting.main][-1:]
        mask = setting.weight > 0
        size = min(ZOOM, *(n // 2 for n in field.truth.shape))
        caption = 'Coarse input, two members, truth; a zoom; ensemble mean, best single field, spread, error.'
        drawn = maps.maps(
            field.coarse,
            field.members,
            field.truth,
            mask,
            self._frame,
            variable,
            title=f'{"Idealised " * setting.idealised}{variable.label}',
            subtitle=f'{sample.label}, the time of the largest error of the coarse field'
            + (f'; {len(field.members)} members' if len(field.members) > 1 else ''),
            baseline=(single[0], sample.methods[single[0]][0, ..., index]) if single else None,
            zoom=liveliest(field.truth - field.coarse, mask, size),
        )
        return Figure(setting.name('maps', variable), f'{variable.label}: {caption[0].lower()}{caption[1:]}', drawn)


def liveliest(anomaly: np.ndarray, mask: np.ndarray, size: int, share: float = FEWEST) -> tuple[int, int, int]:
    """(row, column, cells) of the window with the largest sum of squares of the anomaly [H, W], among those with values
    in at least `share` of their cells; if there are none, among those with the most."""
    known = np.isfinite(anomaly) & mask
    energy, count = (box_sums(values, size) for values in (np.where(known, anomaly, 0) ** 2, known))
    return *largest(np.where(count >= min(share * size**2, count.max()), energy, -1)), size
