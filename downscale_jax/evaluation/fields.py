"""Evaluation of downscalers: test times stream through the measures, whose results are published together.

Generators fill stores of the test times first; then every time is read once and handed to every measure that
`evaluation.measures` names. Nothing here knows a measure by name.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.output.zarr_store import with_units_of
from downscale_jax.evaluation import retiling
from downscale_jax.evaluation.baselines import Baselines
from downscale_jax.evaluation.drawing.training import losses
from downscale_jax.evaluation.measures import MEASURES
from downscale_jax.evaluation.protocol import Measure, Setting
from downscale_jax.evaluation.records import choose
from downscale_jax.evaluation.report.publish import Scores, numbers, publish
from downscale_jax.evaluation.results import Definition, Estimate, Publication, Result, read_definitions
from downscale_jax.evaluation.samples import samples
from downscale_jax.evaluation.setting import setting as setting_of
from downscale_jax.evaluation.stores import fill
from downscale_jax.pipeline.records import Prepared

Generators = Mapping[str, FieldGenerator]
DEFINITIONS = read_definitions(Path(__file__).with_name('scores.toml'))
OF_ALL = ('energy', 'out_of_bounds')  # of all variables together


def evaluate(generators: Generators, prepared: Prepared, config: dict[str, Any], workdir: Path) -> Scores:
    """Scores generators beside the baselines on `evaluation.records` records of the test split, and publishes.

    Returns {method: {score: number}}, also written to scores.json; the work directory gets details.json, figures and
    report.html as well.
    """
    setting, measures = score(generators, prepared, config, workdir)
    results = {name: measure.result() for name, measure in measures.items()}
    definitions = defined(setting)
    scores = merged(setting, results, definitions)
    publication = Publication(
        title=f'{setting.title}, downscaled',
        lead=lead(setting, config['evaluation']),
        scores=scores,
        definitions=definitions,
        details={name: result.details for name, result in results.items() if result.details is not None},
        facts=facts(setting, numbers(scores, definitions)),
        tables=[table for result in results.values() for table in result.tables],
        figures=[*(figure for result in results.values() for figure in result.figures), losses(workdir, setting.title)],
        notes=[*notes(setting, config, generators), *(note for result in results.values() for note in result.notes)],
        config=config,
    )
    return publish(publication, workdir)


def score(
    generators: Generators, prepared: Prepared, config: dict[str, Any], workdir: Path
) -> tuple[Setting, dict[str, Measure]]:
    """Generates what the stores of the test times lack, and adds up every measure."""
    settings, split = config['evaluation'], prepared.split('test')
    times = split.times
    chosen = choose(times, settings['records'], settings['neighbours'])
    stores = fill(generators, prepared, split, times, chosen, config, workdir)
    baselines = Baselines(settings['baselines'], prepared)
    retile = {}
    # seams need members of their own: only of the main ensemble, the last
    for name in [name for name, generator in generators.items() if generator.draws][-1:]:
        # in the tiles of the store, whatever memory is free now
        same_tiles = with_units_of(workdir / 'ensembles' / f'{name}.zarr', generators[name])
        patch, seed = config['data']['patch'], config['seed']
        retile[name] = partial(retiling.retile, same_tiles, prepared, split, times, chosen, patch, seed)
    members = {name: settings['members'] if generator.draws else 1 for name, generator in generators.items()}
    setting = setting_of(prepared, settings, baselines.names, members, times[chosen], retile)
    measures: dict[str, Measure] = {name: MEASURES[name](setting) for name in settings['measures']}
    for sample in samples(stores, setting.ensembles, baselines, prepared, split, times, chosen):
        for measure in measures.values():
            measure.add(sample)
    return setting, measures


def defined(setting: Setting) -> dict[str, Definition]:
    """Definitions by the names in scores.json, in the order of the report: one table per group, and per variable where
    there are several; scores over a zone follow those over all cells."""
    definitions: dict[str, Definition] = {}
    for variable in setting.variables:
        heading = '' if len(setting.variables) == 1 else f'{variable.label}: '
        for name, definition in DEFINITIONS.items():
            unit = variable.units if definition.unit == 'field' else definition.unit
            own = definition._replace(unit=unit, group=f'{heading}{definition.group}')
            definitions[setting.name(name, variable)] = own
            if name in OF_ALL:
                definitions[name] = definition
            if zone := variable.zone:
                definitions[setting.name(f'{name}_{zone.name}', variable)] = own._replace(
                    long_name=f'{own.long_name}, {zone.name}',
                    formula=f'{own.long_name} over the {zone.name} zone: cells whose coarse field exceeds '
                    f'{zone.above:g} {variable.units}.',
                )
    return definitions


def merged(
    setting: Setting, results: Mapping[str, Result], definitions: Mapping[str, Definition]
) -> dict[str, dict[str, Estimate]]:
    """All scores, methods in order. Raises ValueError for a score that no measure defines."""
    order = [*setting.baselines, *setting.singles, *(m for methods in setting.ensembles.values() for m in methods)]
    scores: dict[str, dict[str, Estimate]] = {method: {} for method in order}
    for result in results.values():
        for method, row in result.scores.items():
            if unknown := set(row) - set(definitions):
                raise ValueError(f'scores without a definition: {", ".join(sorted(unknown))}')
            scores[method].update(row)
    return scores


def lead(setting: Setting, settings: Mapping[str, Any]) -> str:
    """One sentence: which methods are compared."""
    trained = [*setting.singles, *(f'{name} ({settings["members"]} members)' for name in setting.ensembles)]
    several = f'{", ".join(trained[:-1])} and {trained[-1]}' if len(trained) > 1 else trained[0]
    return f'{several} beside {", ".join(setting.baselines)}.'


def facts(setting: Setting, table: Scores) -> dict[str, str]:
    """The headline of the report: the main method against the best baseline of each variable, by its mean absolute
    error, and against the last single field."""
    main, headline = table[setting.main], {}
    for variable in setting.variables:
        behind = '' if len(setting.variables) == 1 else f', {variable.name}'
        errors = {name: table[name].get(setting.name('mae', variable), np.inf) for name in setting.baselines}
        best = min(setting.baselines, key=lambda name: errors[name])
        for rival in [name for name in (best, *setting.singles[-1:]) if name != setting.main]:
            for name, simple in (('crps', 'mae'), ('rmse', 'rmse')):
                above, below = (row.get(setting.name(n, variable)) for row, n in ((main, name), (table[rival], simple)))
                if above is not None and below:
                    headline[f'{name.upper()} / {simple.upper()} of {rival}{behind}'] = f'{above / below:.2f}'
        if (skill := main.get(setting.name('spread_skill', variable))) is not None:
            headline[f'spread / skill{behind}'] = f'{skill:.2f}'
        low, high = (main.get(setting.name(name, variable)) for name in ('power_low', 'power_high'))
        if low is not None and high is not None:
            headline[f'power / truth{behind}'] = f'{low:.2f} to {high:.2f}'
    return headline


def notes(setting: Setting, config: Mapping[str, Any], generators: Generators) -> list[str]:
    """What a reader must know to trust the numbers."""
    records = config['evaluation']['records']
    sentences = [
        f'{"All" if records is None else records} times of the test split, scored over all cells where the truth and '
        'all methods have values, weighted by cell area.',
        'A deterministic generator gives one field: its CRPS is its MAE. Each network is that of the checkpoint with '
        'the best validation loss.',
    ]
    sentences += [
        f'Noise temperature of {name}: {generator.temperature:.3g}.'
        for name, generator in generators.items()
        if generator.draws
    ]
    return sentences + [
        f'{zone.name.capitalize()} zone: where the coarse field exceeds {zone.above:g} {variable.units}.'
        for variable in setting.variables
        if (zone := variable.zone)
    ]
