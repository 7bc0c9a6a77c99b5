import numpy as np

from downscale_jax.evaluation.statistics.change import periods
from experiments.climate import change
from experiments.many_runs import resolve


def months(*blocks):
    return [m for first, last in blocks for m in np.arange(np.datetime64(first, 'M'), np.datetime64(last, 'M') + 1)]


def test_both_runs_see_as_many_months_and_none_of_the_test():
    history, both = change.runs({'training.main.steps': 10})
    assert (history.name, both.name) == ('history', 'both')
    settings = [resolve('configs/pairs.py:smoke', run.overrides) for run in (history, both)]
    trained = [months(*found['data.train']) for found in settings]
    assert len(trained[0]) == len(trained[1]) == 192
    tested = months(*settings[0]['data.test'])
    simulated = months(('1981-01', '2030-12'))
    assert len(simulated) == settings[0]['data.simulate.months']
    for found, own in zip(settings, trained, strict=True):
        assert found['data.test'] == settings[0]['data.test']
        assert found['training.main.steps'] == 10
        validated = months(*found['data.validation'])
        assert len({*own, *tested, *validated}) == len(own) + len(tested) + len(validated)
        assert {*own, *tested, *validated} <= {*simulated}
    years = [month.astype(object).year for month in tested]
    assert periods(years) == ((2000, 2003), (2027, 2030))
