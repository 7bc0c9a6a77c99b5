"""Scored times of the test split, read one at a time from its records and from the stores of the generators."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from downscale_jax.evaluation.baselines import Baselines
from downscale_jax.evaluation.protocol import Sample
from downscale_jax.evaluation.records import neighbours
from downscale_jax.evaluation.statistics.ranks import season
from downscale_jax.fields.datasets.times import encode_times, month_of, year_of
from downscale_jax.fields.geometry.blocks import interpolate
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.pairs import PairTransform
from downscale_jax.pipeline.records import Prepared, Split


def samples(
    stores: Mapping[str, xr.Dataset],
    ensembles: Mapping[str, Sequence[str]],
    baselines: Baselines,
    prepared: Prepared,
    split: Split,
    times: np.ndarray,
    chosen: Sequence[int],
) -> Iterator[Sample]:
    """One sample per chosen record, in order; `ensembles` as in `Setting`, `times` those of the whole split."""
    stamps, seasons, follow = encode_times(times), season(times), neighbours(times)
    for index, record_index in enumerate(chosen):
        truth, coarse, blocks, given = fields_of(prepared, split[record_index])
        month = month_of(times[record_index])
        methods = {name: field[None] for name, field in baselines(given, month).items()}
        clipped = {}
        for name, store in stores.items():
            # the chunks of this time alone are read
            members = np.stack([store[v].isel(time=index).values for v in prepared.field_transform.targets], -1)
            named = parts(members, ensembles.get(name, (name,)))
            methods |= named
            clipped[list(named)[-1]] = outside(store, index, members)
        known = prepared.mask[..., None] & np.logical_and.reduce([np.isfinite(m).all(0) for m in methods.values()])
        consecutive = bool(index) and chosen[index - 1] == record_index - 1 and bool(follow[record_index - 1])
        yield Sample(
            stamp=int(stamps[record_index]),
            label=in_words(times[record_index]),
            year=year_of(times[record_index]),
            month=month,
            season=str(seasons[record_index]),
            follows=consecutive,
            truth=np.where(known, truth, np.nan),
            coarse=coarse,
            blocks=blocks,
            methods=methods,
            clipped=clipped,
        )


def in_words(time: Any) -> str:
    """'2020-02-22 12:00', or the date alone at midnight."""
    date, _, hour = str(time)[:16].replace(' ', 'T').partition('T')
    return date if hour in ('', '00:00') else f'{date} {hour}'


class Fields(NamedTuple):
    """The fields of a record."""

    truth: np.ndarray  # [H, W, V]
    coarse: np.ndarray  # [H, W, V] on the fine grid, within the bounds
    blocks: np.ndarray | None  # block means [h, w, V]
    given: np.ndarray  # what the baselines start from


def fields_of(prepared: Prepared, record: dict[str, np.ndarray]) -> Fields:
    """The fields of a record; block means are interpolated linearly."""
    transform, given = prepared.field_transform, prepared.coarse_input(record)
    if isinstance(transform, BlockMeans):
        coarse = interpolate(given, transform.factor, prepared.periodic, 'linear')
        return Fields(record['fine'], coarse.clip(*transform.limits), given, given)
    if isinstance(transform, PairTransform):
        return Fields(record['fine'], transform.coarse(given), None, given)
    coarse = given[..., transform.channel : transform.channel + 1].clip(*transform.limits)
    return Fields(record['fine'][..., None], coarse, None, coarse)


def parts(members: np.ndarray, methods: Sequence[str]) -> dict[str, np.ndarray]:
    """{method: its members}: `NAME_5` has the first five, the last method all of them."""
    first = {method: members[: int(method.rpartition('_')[2])] for method in methods[:-1]}
    return {**first, methods[-1]: members}


def outside(store: xr.Dataset, index: int, members: np.ndarray) -> tuple[float, float]:
    """(number of values of a time outside the bounds before clipping, number of all values).

    The store holds the share of each work unit, a group of members.
    """
    chunks = store[next(name for name in store.data_vars if 'member' in store[name].dims)].chunks
    assert chunks is not None  # stores are opened lazily
    values = np.asarray(chunks[0], np.float64) * int(np.isfinite(members[0]).sum())
    return float(np.sum(values * store['clipped_share'].isel(time=index).values)), float(values.sum())
