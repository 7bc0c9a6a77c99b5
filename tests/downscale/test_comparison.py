"""Inputs compared with the range of training as they are read."""

import dataclasses

import numpy as np
import pytest

from downscale_jax.downscale.comparison import ComparedInputs
from downscale_jax.downscale.tiles import Domain
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.refinement import RefinementTransform
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.fields.transforms.training_range import TrainingRange
from downscale_jax.runtime.errors import UserError

VALUES = Standardisation(('t2m',), ('K',), (280.0,), (10.0,), (0.0,), (1.0,), 0.0)
BLOCKS = BlockMeans(VALUES, 2, 'physical', False, ((-np.inf, np.inf),), (1.0,))
REFINEMENT = RefinementTransform('sit', 'm', ('sit',), ('m',), False, ((0.0, np.inf),), (1.0,), (1.0,), 1.0, 1.0)


@dataclasses.dataclass
class Fields:
    """Coarse fields [h, w] in the form that networks are given."""

    fields: list
    transform: BlockMeans | RefinementTransform

    domain = Domain((4, 6), 2, False)

    @property
    def times(self):
        return np.arange(len(self.fields))

    def __len__(self):
        return len(self.fields)

    def __getitem__(self, index):
        field = np.full((2, 3, 1), self.fields[index], 'f4')
        if isinstance(self.transform, BlockMeans):
            return self.transform.lift(field, np.zeros((4, 6, 0), 'f4'), False)
        return field


def compared(*values, transform=BLOCKS):
    trained = TrainingRange(transform.inputs, transform.input_units, np.array([[260.0, 320.0]]))
    return ComparedInputs(Fields(list(values), transform), transform, trained, 'a.nc')


@pytest.mark.parametrize('transform', [BLOCKS, REFINEMENT])
def test_inputs_pass_unchanged(transform, caplog):
    inputs = compared(270, 280, 290, transform=transform)
    assert (len(inputs), inputs.domain.shape) == (3, (4, 6))
    np.testing.assert_array_equal(inputs[1], Fields([270, 280], transform)[1])
    assert not caplog.records


@pytest.mark.parametrize('transform', [BLOCKS, REFINEMENT])
@pytest.mark.parametrize('values', [(-9999, 280, 280), (280, 280, 1e5)])
def test_the_first_and_the_last_at_opening(values, transform):
    with pytest.raises(UserError, match=r'a\.nc: .* in training'):
        compared(*values, transform=transform)


def test_the_others_as_they_are_read(caplog):
    inputs = compared(280, -9999, 400, 280)
    assert not caplog.records
    inputs[2]
    inputs[2]
    assert len(caplog.records) == 1
    with pytest.raises(UserError):
        inputs[1]
