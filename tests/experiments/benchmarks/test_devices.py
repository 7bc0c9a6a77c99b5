from experiments.benchmarks import devices


def test_the_first_twenty_losses_are_the_same_on_one_and_four_devices():
    found = devices.losses([1, 4], steps=20, batch=8, patch=16, width=8)
    assert [len(losses) for losses in found.values()] == [20, 20]
    # it does learn: equal losses of a network that stands still would say nothing
    assert found[1][-1] < 0.98 * found[1][0]
    assert devices.difference(found[1], found[4]) < 1e-5


def test_difference_is_the_largest_relative_one():
    assert devices.difference([1.0, 2.0, 4.0], [1.5, 2.0, 5.0]) == 0.5
