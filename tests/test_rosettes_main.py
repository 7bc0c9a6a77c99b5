"""The command line for rosettes: from simulated crystals to the properties of real images."""

import json

import matplotlib.image
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from downscale_jax import load
from downscale_jax.runtime.errors import UserError, WrongTypeError
from downscale_jax.systems.rosettes import CrystalProperties

COMMAND = '--config=configs/rosettes.py:smoke'


@pytest.fixture(scope='module')
def workdir(run, tmp_path_factory):
    workdir = tmp_path_factory.mktemp('rosettes') / 'run'
    done = run(COMMAND, f'--workdir={workdir}', '--config.training.main.steps=10')
    assert done.returncode == 0, done.stderr
    return workdir


def test_scores_figures_and_report(workdir):
    table = json.loads((workdir / 'scores.json').read_text())
    assert list(table) == ['mean', 'linear', 'random_forest', 'polar']
    assert all(
        set(row) == {'r2_density', 'r2_surface', 'rmse_density', 'rmse_surface', 'balanced_accuracy'}
        for row in table.values()
    )
    assert table['mean']['balanced_accuracy'] == pytest.approx(1 / 3)
    figures = {path.stem for path in (workdir / 'figures').glob('*.png')}
    assert figures == {'examples', 'scatter', 'confusion', 'orientation', 'training'}
    assert (workdir / 'report.html').stat().st_size > 10_000
    assert not (workdir / 'statics.nc').exists()


def test_no_crystal_is_in_two_splits(workdir):
    from downscale_jax.pipeline.records import Prepared

    (folder,) = (workdir.parent / 'data').iterdir()
    prepared = Prepared(folder)
    groups = {}
    for name in ('train', 'validation', 'test'):
        records = [prepared.split(name)[i] for i in range(len(prepared.split(name)))]
        groups[name] = {int(record['group']) for record in records}
        assert {int(record['label']) for record in records} == {0, 1, 2}
    assert len(groups['train'] | groups['validation'] | groups['test']) == sum(map(len, groups.values())) == 18


def test_properties_of_images_of_any_form(workdir, tmp_path, shared_data):
    model = load(workdir, CrystalProperties)
    archive = shared_data / 'ice_crystals' / 'cpi_crops128.npz'
    with np.load(archive) as crops:
        rosettes = crops['images'][crops['labels'] == 'bullet_rosette']
    found = model.predict(rosettes)
    assert dict(found.sizes) == {'image': 8, 'arms': 3}
    np.testing.assert_array_equal(found['arms'], [4, 6, 10])
    np.testing.assert_allclose(found['arms_probability'].sum('arms'), 1, rtol=1e-5)
    assert ((found['effective_density'] > 0) & (found['effective_surface'] > 0)).all()
    for number, image in enumerate(rosettes):
        matplotlib.image.imsave(tmp_path / f'{number}.png', np.stack(3 * [image], -1))
    np.testing.assert_allclose(model.predict(tmp_path)['effective_density'], found['effective_density'], rtol=1e-4)
    assert model.predict(archive).sizes['image'] == 70
    with pytest.raises(UserError, match='have 2 views, but the network was trained on 1'):
        model.predict(np.stack([rosettes, rosettes], 1))
    with pytest.raises(WrongTypeError):
        model.predict([rosettes])


def test_a_silhouette_is_read_as_it_was_rendered(workdir):
    from data_prep.simulators.crystals.habits import draw_rosette, rosette_mesh
    from data_prep.simulators.crystals.silhouettes import outline, project

    model, rng = load(workdir, CrystalProperties), np.random.default_rng(0)
    mesh, rotation = outline(rosette_mesh(draw_rosette(6, rng))), Rotation.random(1, rng=rng)
    rendered, _ = model.apply(project(mesh, rotation, 16)[..., None])
    photographed = model.predict(255 * (1 - project(mesh, rotation, 160, filled=0.6)))
    np.testing.assert_allclose(np.log(photographed['effective_density']), rendered[:, 0], atol=0.1)


def test_other_methods_are_refused_by_name(workdir):
    with pytest.raises(AttributeError, match="no method 'embed': it is provided by models of atmodist, cloud_vae"):
        load(workdir).embed(0)


def test_mistakes_are_one_line(error_line, tmp_path):
    line = error_line(COMMAND, f'--workdir={tmp_path / "a"}', '--config.data.arms=(4,)')
    assert 'data.arms=(4,)' in line
    assert not (tmp_path / 'a').exists()
