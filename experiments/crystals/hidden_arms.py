"""How many arms of a bullet rosette does its silhouette show?

    python -m experiments.crystals.hidden_arms [--crystals 20] [--orientations 20] [--pixels 1]        under a minute

An arm is visible where it covers at least --pixels pixels that no other part of the crystal covers. Prints, by number
of arms and for one view and two views, the share of images that show all arms, and the balanced accuracy of an observer
who counts all visible arms and answers with the number of arms that shows this count most often.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from data_prep.simulators.crystals.habits import ARMS, CENTRAL_SEGMENTS, Rosette, bullet, draw_rosette, frames
from data_prep.simulators.crystals.silhouettes import FILL, Projection, outline, views
from data_prep.simulators.crystals.solids import Part, ball
from experiments.command_line import Parser, at_least, run_program
from experiments.many_runs import markdown

CAMERAS = {'one view': (1, 0.0), 'two views, 90 degrees': (2, 90.0), 'two views, 120 degrees': (2, 120.0)}


class Observed(NamedTuple):
    """N images."""

    arms: np.ndarray  # [N]
    visible: np.ndarray  # [N] arms that are visible in one of the views


def surface(part: Part) -> trimesh.Trimesh:
    """The mesh of a convex part."""
    solid = part.to_mesh64()
    return trimesh.Trimesh(solid.vert_properties, solid.tri_verts, process=False)


def joined(parts: Sequence[trimesh.Trimesh]) -> trimesh.Trimesh:
    """All faces of overlapping parts: their silhouette is that of the union."""
    mesh = trimesh.util.concatenate(list(parts))
    assert isinstance(mesh, trimesh.Trimesh)
    return mesh


def visible_areas(rosette: Rosette, rotations: Sequence[Rotation], size: int) -> np.ndarray:
    """[arms, N, V] pixels of each arm that no other part covers, in N orientations and V views on a common scale."""
    arms = zip(rosette.f_a, rosette.f_c, rosette.turns, frames(rosette.directions), strict=True)
    parts = [surface(bullet(rosette, *arm)) for arm in arms]
    centre = surface(ball(rosette.radius, CENTRAL_SEGMENTS))
    whole = joined([*parts, centre])
    wholes = [Projection(outline(whole), rotation) for rotation in rotations]
    side = np.max([projection.extent for projection in wholes], 0) / FILL

    def seen(mesh: trimesh.Trimesh) -> np.ndarray:
        """[N, V, size, size] silhouettes in the frame of the whole crystal."""
        projections = [Projection(outline(mesh), rotation) for rotation in rotations]
        for own, frame in zip(projections, wholes, strict=True):
            own.low, own.high = frame.low, frame.high
        return np.stack([projection.rasterised(size, side) for projection in projections], 1)

    everything = seen(whole)
    others = [joined([p for p in (*parts, centre) if p is not part]) for part in parts]
    return np.stack([np.maximum(everything - seen(rest), 0).sum((2, 3)) for rest in others])


def observe(camera: tuple[int, float], crystals: int, orientations: int, size: int, least: float) -> Observed:
    """`crystals` random rosettes of every number of arms."""
    rng, arms, visible = np.random.default_rng(0), [], []
    for number in np.repeat(np.arange(ARMS[0], ARMS[1] + 1), crystals):
        areas = visible_areas(draw_rosette(int(number), rng), views(orientations, *camera, rng), size)
        visible.append((areas >= least).any(2).sum(0))
        arms.append(np.full(orientations, number))
    return Observed(np.concatenate(arms), np.concatenate(visible))


def balanced_accuracy(observed: Observed) -> float:
    """Of the observer: mean over the numbers of arms of the share of correct answers."""
    table = np.zeros((ARMS[1] + 1, ARMS[1] + 1))
    np.add.at(table, (observed.arms, observed.visible), 1)
    shares = table[ARMS[0] :] / table[ARMS[0] :].sum(1, keepdims=True)
    return float(shares.max(0).sum() / len(shares))


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument('--crystals', type=at_least(1), default=20, help='of every number of arms')
    parser.add_argument('--orientations', type=at_least(1), default=20)
    parser.add_argument('--size', type=at_least(8), default=48, help='pixels per side')
    parser.add_argument('--pixels', type=float, default=1.0, help='least area of a visible arm')
    options = parser.parse_args()
    rows = []
    for name, camera in CAMERAS.items():
        observed = observe(camera, options.crystals, options.orientations, options.size, options.pixels)
        complete = observed.visible == observed.arms
        shares = {str(n): float(complete[observed.arms == n].mean()) for n in range(ARMS[0], ARMS[1] + 1)}
        rows.append({'cameras': name, **shares, 'balanced accuracy': balanced_accuracy(observed)})
    print(markdown(rows, list(rows[0])))
    return 0


if __name__ == '__main__':
    run_program(main)
