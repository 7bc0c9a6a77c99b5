"""Seams of a DPDM ensemble in one piece, in tiles fused at every sampling step, and in separate tiles.

    python -m experiments.seams --workdir=runs/diffusion_dpdm [--tile 80] [--overlap 20] [--times 4] [--members 4]

The trained model downscales test times three times: the whole domain at once; in tiles whose overlaps are averaged
before every next step, with the same noise wherever they overlap; and as tiles are usually done, each downscaled on its
own, with noise of its own, and the overlaps averaged at the end. Prints, and writes to WORKDIR/seams.md, the
scores of `evaluation.measures.seams` by variable for both kinds of tiles, with the domain in one piece as control: seam
(1 without any) and step (0 without any; for separate tiles mostly their different noise). Draws WORKDIR/seams.png.
"""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from data_prep.prepare import prepare
from downscale_jax.downscale.dataset import in_memory
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.records import coarse_dataset
from downscale_jax.downscale.tiles import Tiling
from downscale_jax.evaluation import retiling
from downscale_jax.evaluation.drawing import style as look
from downscale_jax.evaluation.measures import seams
from downscale_jax.evaluation.protocol import Retiled
from downscale_jax.fields.datasets.times import evenly
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import write_text
from downscale_jax.systems import load
from downscale_jax.systems.downscaler import Downscaler
from experiments.command_line import Parser, at_least, run_program

TRUTH, WHOLE, FUSED, APART = 'truth', 'in one piece', 'fused at every step', 'each on its own'


def apart(
    generator: FieldGenerator, coarse: xr.Dataset, statics: xr.Dataset, tiling: Tiling, members: int
) -> np.ndarray:
    """[T, M, H, W, V]: every tile a domain of its own, averaged where they overlap by the weights of the fused ones."""
    transform: Any = generator.transform
    dims, factor, names = statics['mask'].dims, transform.factor, transform.targets
    field = np.zeros((members, coarse.sizes['time'], *tiling.shape, len(names)))
    weight = np.zeros((*tiling.shape, 1))
    for number, (row, column) in enumerate(tiling.origins):
        inside = [slice(start, start + size) for start, size in zip((row, column), tiling.sizes, strict=True)]
        blocks = [slice(part.start // factor, part.stop // factor) for part in inside]
        grid = statics.isel(dict(zip(dims, inside, strict=True)))
        inputs = open_inputs(coarse.isel(dict(zip(dims, blocks, strict=True))), generator.transform, grid)
        one = in_memory(Ensemble(generator, inputs, grid, members, number + 1))
        values = np.stack([one[name].values for name in names], -1)
        field[:, :, inside[0], inside[1]] += values * tiling.weights
        weight[inside[0], inside[1]] += tiling.weights
    return (field / weight).swapaxes(0, 1)


def main() -> int:
    messages.to_terminal()
    parser = Parser(__doc__)
    parser.add_argument('--workdir', type=Path, default=Path('runs/diffusion_dpdm'))
    parser.add_argument('--tile', type=at_least(1), default=80)
    parser.add_argument('--overlap', type=at_least(0), default=20)
    parser.add_argument('--times', type=at_least(1), default=4)
    parser.add_argument('--members', type=at_least(1), default=4)
    options = parser.parse_args()
    opened = load(options.workdir, kind=Downscaler)
    prepared = prepare(opened.config['data'], opened.config['seed'], options.workdir.parent / 'data')
    split, transform = prepared.split('test'), prepared.transform_as(BlockMeans)
    chosen = evenly(len(split), options.times)
    coarse, statics = coarse_dataset(prepared, split, split.times, chosen), prepared.statics
    shape, best = prepared.mask.shape, opened.best()
    fused = best.with_partition(tile=options.tile, overlap=options.overlap)
    inputs = open_inputs(coarse, best.transform, statics)
    tiling = fused.tiling(inputs.domain)
    if len(tiling.origins) < 2:
        raise UserError(f'--tile={options.tile}: one tile covers the domain of {shape[0]} x {shape[1]}: lower it')
    whole = best.with_partition(tile=max(tiling.padded), overlap=options.overlap)
    own = Tiling(shape, transform.factor, options.tile, options.overlap)  # a tile of its own holds whole blocks

    def fields(generator: FieldGenerator) -> np.ndarray:
        made = in_memory(Ensemble(generator, inputs, statics, options.members, 0))
        return np.stack([made[name].values for name in transform.targets], -1).swapaxes(0, 1)

    made = {
        TRUTH: np.stack([split[i]['fine'] for i in chosen])[:, None],
        WHOLE: fields(whole),
        FUSED: fields(fused),
        APART: apart(whole, coarse, statics, own, options.members),
    }
    area = prepared.statics['cell_area'].values * prepared.mask
    weight = np.where(np.isfinite(made[TRUTH][:, 0]), area[..., None], 0.0)
    sizes = ' x '.join(map(str, tiling.sizes))
    rows = [
        f'{options.members} members, {len(chosen)} times, {len(tiling.origins)} tiles of {sizes} that overlap by '
        f'{options.overlap} in {shape[0]} x {shape[1]} cells.',
        '',
        '| seam, step | ' + ' | '.join(transform.targets) + ' |',
        '|---|' + '---|' * len(transform.targets),
    ]
    nowhere = np.zeros(0, int), np.zeros(0, int)
    for name, lines, tiles in (
        (FUSED, retiling.borders_of(fused, inputs.domain), tiling),
        (APART, seams.borders(shape, own.origins, own.sizes), own),
    ):
        pair = Retiled(made[name], made[WHOLE], weight, lines, nowhere, tiles.sizes, shape, options.overlap)
        scores = seams.scored(pair)
        values = zip(scores['seam'], scores['step'], strict=True)
        rows.append(f'| {name} | ' + ' | '.join(f'{seam:.3f}, {step:.3f}' for seam, step in values) + ' |')
    print('\n'.join(rows))
    write_text(options.workdir / 'seams.md', '\n'.join(rows) + '\n')
    look.save(figure(made, tiling, transform.targets, transform.target_units), options.workdir / 'seams.png')
    return 0


def figure(made: dict[str, np.ndarray], tiling: Tiling, variables: tuple[str, ...], units: tuple[str, ...]):
    """The first member at the first time, its |gradient| beyond that of a smooth field, one row per variable."""
    figure = look.blank(2.1 * len(variables), 'Seams', '|gradient| of one member, cell to cell; ticks: tiles begin')
    axes = figure.subplots(len(variables), len(made), squeeze=False)
    for v, line in enumerate(axes):
        steep = {name: np.hypot(*np.gradient(values[0, 0, ..., v])) for name, values in made.items()}
        limit = float(np.nanquantile(steep['truth'], 0.98))
        for panel, (name, values) in zip(line, steep.items(), strict=True):
            image = panel.imshow(values, origin='lower', vmin=0, vmax=limit, cmap='magma')
            panel.set(xticks=np.unique(tiling.origins[:, 1]), yticks=np.unique(tiling.origins[:, 0]))
            panel.tick_params(labelbottom=False, labelleft=False)
            if not v:
                panel.set_title(name, loc='left', fontsize=9.5)
        line[0].set_ylabel(variables[v])
        figure.colorbar(image, ax=list(line), shrink=0.85, pad=0.01).set_label(f'{units[v]} a cell')
    return figure


if __name__ == '__main__':
    run_program(main)
