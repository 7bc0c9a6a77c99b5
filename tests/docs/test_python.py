"""Python in the documents runs, with opened work directories and readers of which only the signatures are real."""

import re
from pathlib import Path
from unittest import mock

import pytest

from downscale_jax.systems.atmodist import LearnedDistance
from downscale_jax.systems.cloud_vae import CloudLatents
from downscale_jax.systems.downscaler import Downscaler
from downscale_jax.systems.glacier_map import GlacierMap
from downscale_jax.systems.rosettes import CrystalProperties

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md')])
OPENED = {
    'runs/mine': Downscaler,
    'runs/diffusion_sit': Downscaler,
    'runs/atmodist': LearnedDistance,
    'runs/cloud_vae': CloudLatents,
    'runs/glaciers': GlacierMap,
    'runs/rosettes': CrystalProperties,
}
GIVEN = ('coarse', 'fields', 'a', 'b')  # data of the reader
BLOCKS = [
    pytest.param(block, id=f'{path.relative_to(ROOT)}-{number}')
    for path in DOCUMENTS
    for number, block in enumerate(re.findall(r'```python\n(.*?)```', path.read_text(), re.DOTALL))
]


def opened(workdir):
    return mock.create_autospec(OPENED[workdir], instance=True)


def execute(block):
    with (
        mock.patch('downscale_jax.load', opened),
        mock.patch('data_prep.readers.products.read_nextsim', autospec=True),
    ):
        exec(compile(block, 'document', 'exec'), dict.fromkeys(GIVEN))


@pytest.mark.parametrize('block', BLOCKS)
def test_blocks_run(block):
    execute(block)


@pytest.mark.parametrize('mistake', ['.downscale()', '.downscale(coarse, member=8)', '.refine(coarse)'])
def test_mistakes_are_found(mistake):
    with pytest.raises((TypeError, AttributeError)):
        execute(f"import downscale_jax\ndownscale_jax.load('runs/mine'){mistake}")
