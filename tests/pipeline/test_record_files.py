"""Records of a received folder: nothing in it is imported; missing and damaged files are named."""

import json
import shutil
import sys

import numpy as np
import pytest

from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError

MODULE = 'module_beside_the_records'


@pytest.fixture
def received(open_sea, tmp_path):
    """A copy of prepared data, and the folder of its records."""
    directory = shutil.copytree(open_sea[0].directory, tmp_path / 'received')
    return directory, directory / 'records' / 'fields' / '1.0.0'


@pytest.mark.parametrize('where', ['features.json', 'dataset_info.json'])
def test_no_module_is_imported(received, open_sea, monkeypatch, where):
    directory, folder = received
    ran = directory / 'ran'
    for place in (directory, folder):
        (place / f'{MODULE}.py').write_text(f"open({str(ran)!r}, 'w').close()\n")
        monkeypatch.syspath_prepend(str(place))
    text = json.loads((folder / where).read_text())
    text |= {'pythonClassName': f'{MODULE}.Feature', 'moduleName': MODULE}
    for feature in text.get('featuresDict', {}).get('features', {}).values():
        feature['pythonClassName'] = f'{MODULE}.Feature'
    (folder / where).write_text(json.dumps(text))
    record = Prepared(directory).split('train')[0]
    np.testing.assert_array_equal(record['fine'], open_sea[0].split('train')[0]['fine'])
    assert not ran.exists()
    assert MODULE not in sys.modules


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize('name', ['features.json', 'dataset_info.json', 'fields-train.array_record-00000'])
@pytest.mark.parametrize('damage', [cut, lambda path: path.unlink()], ids=['cut', 'removed'])
def test_damaged_records(received, name, damage):
    directory, folder = received
    damage(folder / name)
    with pytest.raises(UserError) as error:
        _ = Prepared(directory).split('train')[0]
    assert str(folder) in str(error.value)
    assert f'remove {directory} and run --mode=train' in str(error.value)
    assert '\n' not in str(error.value)


def test_a_flipped_bit(received):
    directory, folder = received
    path = folder / 'fields-train.array_record-00000'
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    split = Prepared(directory).split('train')
    with pytest.raises(UserError, match='is damaged'):
        _ = [split[index] for index in range(len(split))]


def test_fewer_records_than_were_written(received):
    directory, folder = received
    shutil.copy(folder / 'fields-test.array_record-00000', folder / 'fields-train.array_record-00000')
    with pytest.raises(UserError, match='split train has 2 of 10 records'):
        Prepared(directory).split('train')


@pytest.mark.parametrize('variables', [['cell_area'], ['mask']])
def test_statics_without_a_variable(received, variables):
    import xarray as xr

    directory, _ = received
    with xr.open_dataset(directory / 'statics.nc') as statics:
        fewer = statics.load().drop_vars(variables)
    fewer.to_netcdf(directory / 'statics.nc')
    with pytest.raises(UserError, match=f"statics.nc is damaged or was edited .*'{variables[0]}'"):
        _ = Prepared(directory).mask
