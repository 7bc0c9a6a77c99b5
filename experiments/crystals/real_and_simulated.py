"""Do photographed and simulated particles of one class overlap in a latent space?

    python -m experiments.crystals.real_and_simulated --workdir=runs/crystal_vae --images=CROPS.npz

Embeds the photographs of a class and --simulated simulated silhouettes of the same habit, all framed
alike. Prints the energy distance between the two (0: they overlap, 1: they are far apart), its p-value by permutation,
and the share of photographs whose nearest neighbour is a photograph, beside the share expected by chance. Draws the
codes into --figure.
"""

from pathlib import Path

import matplotlib
import numpy as np

from data_prep.simulators.crystals import particles
from downscale_jax import load
from downscale_jax.evaluation.clusters.figures import COLOURS, plane
from downscale_jax.evaluation.drawing import style
from downscale_jax.evaluation.statistics.energy import between, separation
from downscale_jax.fields.images.reading import read
from downscale_jax.runtime.errors import UserError, suggestion
from downscale_jax.settings.images import HABITS
from downscale_jax.systems.crystal_vae import CrystalLatents
from experiments.command_line import Parser, at_least, figure_file, run_program

PIXELS = 96  # per side of simulated images, before they are framed
PERMUTATIONS = 1000


def photographs(path: str, label: str) -> np.ndarray:
    """Images [N, H, W] of a class. Raises UserError for fewer than two of them."""
    images, labels = read(path)
    mine = np.zeros(len(images), bool) if labels is None else labels == label
    if mine.sum() < 2:
        present = sorted(set(labels)) if labels is not None else []
        raise UserError(f'--label={label}: {path} has {mine.sum()} such images: {suggestion(label, present)}')
    return images[mine]


def simulated(habit: str, count: int, seed: int) -> np.ndarray:
    """Silhouettes [N, H, W] of `count` particles of a habit."""
    found = particles.simulate(seed, (habit,), count, 1, PIXELS)
    return np.stack([example.image[..., 0] for example in found.examples(range(count))])


def nearest_share(distance: np.ndarray, mine: np.ndarray) -> float:
    """Share of the items `mine` [M] whose nearest neighbour by distances [M, M] is one of them, too."""
    away = distance + np.where(np.eye(len(distance), dtype=bool), np.inf, 0)
    return float(mine[away.argmin(1)][mine].mean())


@matplotlib.rc_context(style.LOOK)
def draw(codes: np.ndarray, real: np.ndarray, label: str, path: Path) -> None:
    """Codes [N, L] of photographed (`real` [N]) and simulated particles."""
    title = f'Photographed and simulated: {label.replace("_", " ")}'
    figure = style.blank(4.2, title, 'codes' if codes.shape[1] <= 2 else 'codes, by t-SNE')
    axes, coordinates = figure.subplots(), plane(codes, seed=0)
    for mine, name, color, size in ((~real, 'simulated', COLOURS[0], 16), (real, 'photographed', COLOURS[1], 44)):
        x, y = coordinates[mine].T
        axes.scatter(x, y, s=size, linewidth=0, alpha=0.8, color=color, label=name)
    axes.set(xlabel='first coordinate', ylabel='second coordinate')
    axes.legend(frameon=False)
    style.save(figure, path)


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument('--workdir', type=Path, required=True, help='of configs/crystal_vae.py')
    parser.add_argument('--images', required=True, help='labelled images: PNG folders by class, .npz, Zarr')
    parser.add_argument('--label', default='bullet_rosette', help=f'a class of the images: {", ".join(HABITS)}')
    parser.add_argument('--simulated', type=at_least(2), default=200)
    parser.add_argument('--figure', type=figure_file, default=Path('real_and_simulated.png'))
    options = parser.parse_args()
    if options.label not in HABITS:
        raise UserError(f'--label={options.label} cannot be simulated: {suggestion(options.label, HABITS)}')
    model = load(options.workdir, CrystalLatents)
    parts = [photographs(options.images, options.label), simulated(options.label, options.simulated, 1)]
    codes = np.concatenate([model.embed(part).values for part in parts])
    real = np.arange(len(codes)) < len(parts[0])
    distance = between(codes[:, None])
    found = separation(distance, real, PERMUTATIONS, 0)
    print(
        f'{real.sum()} photographs, {(~real).sum()} simulated: energy distance {found.share:.3f} '
        f'(p = {found.p_value:.3f}); nearest neighbour is a photograph: {nearest_share(distance, real):.2f} of the '
        f'photographs, by chance {(real.sum() - 1) / (len(real) - 1):.2f}'
    )
    draw(codes, real, options.label, options.figure)
    return 0


if __name__ == '__main__':
    run_program(main)
