"""A trained network on crystals it was not made for: mesh files with known properties, and photographs without.

    python -m experiments.crystals.real_crystals --workdir=runs/rosettes --meshes='FOLDER/*.stl'
    python -m experiments.crystals.real_crystals --workdir=runs/rosettes --images=CROPS.npz --label=bullet_rosette

Meshes must be watertight; each is seen in --orientations random orientations, and the median prediction is printed
beside the truth. For images there is no truth: predictions are printed, and the images with their silhouettes and
predictions are drawn into --figure.
"""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from data_prep.simulators.crystals import solids
from data_prep.simulators.crystals.silhouettes import outline, project_views, views
from downscale_jax import load
from downscale_jax.evaluation.drawing import style
from downscale_jax.fields.datasets.files.paths import files_of
from downscale_jax.fields.images.reading import read
from downscale_jax.fields.images.silhouettes import framed
from downscale_jax.runtime.errors import UserError, suggestion
from downscale_jax.systems.rosettes import CrystalProperties
from experiments.command_line import Parser, at_least, figure_file, run_program
from experiments.many_runs import markdown

COLUMNS = 8  # of the figure


def of_meshes(model: CrystalProperties, pattern: str, orientations: int) -> list[dict[str, Any]]:
    """A row per mesh: effective density and surface, true and predicted (median over orientations), and arms."""
    data, rng = model.config['data'], np.random.default_rng(0)
    rows = []
    for file in files_of(pattern):
        mesh = solids.read(file)
        known = solids.properties(mesh)
        rotations = views(orientations, data['views'], data['angle'], rng)
        numbers, probabilities = model.apply(project_views(outline(mesh), rotations, data['size']))
        density, surface = np.exp(np.median(numbers, 0))
        arms = data['arms'][int(probabilities.mean(0).argmax())]
        rows.append({
            'mesh': Path(file).stem, 'density': known.effective_density, 'predicted density': float(density),
            'surface': known.effective_surface, 'predicted surface': float(surface), 'predicted arms': arms,
        })  # fmt: skip
    return rows


def of_images(model: CrystalProperties, path: str, label: str) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Images of a class, all where none is named, and a row for each. Raises UserError for an unknown label."""
    images, labels = read(path)
    if label:
        present = set() if labels is None else set(labels)
        if label not in present:
            raise UserError(f'--label={label}: {path} has no such class: {suggestion(label, present)}')
        images = images[labels == label]
    found = model.predict(images)
    arms = found['arms_probability'].idxmax('arms')
    rows = [
        {
            'image': number, 'density': float(found['effective_density'][number]),
            'surface': float(found['effective_surface'][number]), 'arms': int(arms[number]),
            'probability': float(found['arms_probability'][number].max()),
        }
        for number in range(len(images))
    ]  # fmt: skip
    return images, rows


@matplotlib.rc_context(style.LOOK)
def draw(images: np.ndarray, rows: list[dict[str, Any]], path: Path) -> None:
    """Photographs above their silhouettes and predictions."""
    shown = min(COLUMNS, len(images))
    figure = style.blank(3.0, 'Photographed crystals', 'predictions; the true properties are not known')
    axes = figure.subplots(2, shown, squeeze=False)
    silhouettes = framed(images[:shown, ..., None], 64)[..., 0]
    for upper, lower, image, silhouette, row in zip(*axes, images, silhouettes, rows, strict=False):
        upper.imshow(image, cmap='gray')
        lower.imshow(silhouette, cmap='gray_r', vmin=0, vmax=1)
        lower.set_xlabel(f'ρ {row["density"]:.3f}\ns {row["surface"]:.3f}\n{row["arms"]} arms', fontsize=8)
        for panel in (upper, lower):
            panel.set(xticks=(), yticks=())
    style.save(figure, path)


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument('--workdir', type=Path, required=True, help='of configs/rosettes.py')
    parser.add_argument('--meshes', default='', help='files of watertight meshes')
    parser.add_argument('--images', default='', help='a folder of PNG files, an .npz file or a Zarr store')
    parser.add_argument('--label', default='', help='of the images; empty: all')
    parser.add_argument('--orientations', type=at_least(1), default=50)
    parser.add_argument('--figure', type=figure_file, default=Path('real_crystals.png'))
    options = parser.parse_args()
    if not (options.meshes or options.images):
        raise UserError('give --meshes or --images')
    model = load(options.workdir, CrystalProperties)
    if options.meshes:
        table = of_meshes(model, options.meshes, options.orientations)
        print(markdown(table, list(table[0])))
    if options.images:
        images, table = of_images(model, options.images, options.label)
        print(markdown(table, list(table[0])))
        draw(images, table, options.figure)
    return 0


if __name__ == '__main__':
    run_program(main)
