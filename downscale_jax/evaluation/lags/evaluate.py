"""Test pairs -> how well lags are told, what the learnt distance is worth -> scores.json, details.json, report.html."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from downscale_jax.evaluation.drawing import curves
from downscale_jax.evaluation.drawing import style as look
from downscale_jax.evaluation.lags import figures as lag_figures
from downscale_jax.evaluation.lags import rivals as lag_rivals
from downscale_jax.evaluation.lags import scores
from downscale_jax.evaluation.lags.measures import Measured, Networks, centres, measure, span
from downscale_jax.evaluation.lags.neighbours import neighbours
from downscale_jax.evaluation.present import divide, plain, print_table
from downscale_jax.evaluation.report import html as report
from downscale_jax.evaluation.statistics.bootstrap import block_length
from downscale_jax.evaluation.statistics.ranks import SEASONS, season
from downscale_jax.fields.datasets.times import decode_times, evenly
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.files import write_json
from downscale_jax.systems.atmodist import PROBE, UNTRAINED, LearnedDistance
from downscale_jax.training.log import read

MAIN, CLASSIFIER, CHANCE, MIDDLE = 'atmodist', 'mse_correlation', 'chance', 'middle_lag'
MEASURES = {MAIN: MAIN, UNTRAINED: UNTRAINED, CLASSIFIER: 'MSE'}  # the distance that goes with a method
BAND = 20  # degrees of latitude
CELLS = (6, 12)  # of the map of errors
FEWEST = 3  # pairs, for a cell to be drawn
CLASSIFIER_PAIRS = 20_000  # training pairs: its weights are hundreds, and fitting to few would make it a weak rival
RANGE_PATCHES = 500  # training patches whose range is that of PSNR and SSIM


def evaluate(opened: LearnedDistance, prepared: Prepared) -> dict[str, dict[str, float]]:
    """Scores the naming of lags on `evaluation.pairs` pairs of the test split beside its rivals, and distances by lag.

    Returns {method: {score: number}} without what is undefined, also written to scores.json; details.json has the
    intervals, confusion matrices, curves, and errors by latitude, season and place. The classifier on MSE and
    correlation is fitted to CLASSIFIER_PAIRS pairs of the training split, evenly chosen; to all where there are fewer.
    """
    split, classes, step = prepared.split('test'), prepared.meta['lags'], float(prepared.meta['step_hours'])
    train = prepared.split('train')
    chosen = evenly(len(split), opened.config['evaluation']['pairs'])
    data_range = span(prepared, train, evenly(len(train), RANGE_PATCHES))
    measured = measure(networks(opened), prepared, split, chosen, data_range)
    known = measure({}, prepared, train, evenly(len(train), CLASSIFIER_PAIRS))
    classifier = lag_rivals.fit(known.features, known.lag, classes)
    probabilities = {**measured.probabilities, CLASSIFIER: classifier.probabilities(measured.features)}
    methods = {name: scores.told(p, measured.lag) for name, p in probabilities.items()}
    methods[CHANCE] = lag_rivals.chance(measured.lag, classes)
    methods[MIDDLE] = lag_rivals.constant(measured.lag, lag_rivals.middle(classes), classes)
    details = summarise(measured, prepared, methods, probabilities)
    table = {
        method: {name: float(found[name][0]) for name in scores.SCORES if np.isfinite(found.get(name, [np.nan])[0])}
        for method in methods
        for found in (details['methods'][method],)
    }
    write_json(opened.workdir / 'scores.json', {method: dict(sorted(row.items())) for method, row in table.items()})
    write_json(opened.workdir / 'details.json', plain(details))
    captions = draw(opened, prepared, details, neighbours(opened, prepared, split, chosen))
    report.write(
        opened.workdir / 'report.html',
        title='AtmoDist: a learned distance between atmospheric states',
        lead=f'Two patches of one place at two times: an encoder learns to name the lag, {classes} classes of '
        f'{step:g} h, and with it a distance. Beside it what simple rivals make of the same pairs.',
        summary=headline(table),
        scores=table,
        intervals={m: {n: (e[1], e[2]) for n, e in details['methods'][m].items()} for m in table},
        tables=tables(details),
        figures={caption: opened.workdir / 'figures' / f'{name}.png' for name, caption in captions.items()},
        config=opened.config,
        notes=notes(opened, prepared, measured, details, len(known.lag)),
        described=scores.SCORES,
    )
    print_table(table, scores.SCORES)
    return table


def networks(opened: LearnedDistance) -> Networks:
    """The tasks that name lags, with their parameters."""
    found = {MAIN: (opened.task, opened.params)}
    if UNTRAINED in opened.tasks:
        rival = opened.tasks[UNTRAINED]
        found[UNTRAINED] = (rival, rival.inference_params(opened.restored(UNTRAINED)))
    return found


def summarise(
    measured: Measured, prepared: Prepared, methods: Mapping[str, dict], probabilities: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """What details.json holds; every estimate is [3], value, 5 and 95 % over resampled `runs`.

    methods     {method: {score: [3]}}, see `lag_scores.SCORES`
    better      {rival: {score: [3]}}: the main method minus the rival, on the same pairs
    confusion   {method: [K, K]}, rows are true lags
    distances   {measure: {'mean': [K, 3], 'deviation': [K, 3], 'distance_rank': [3], 'distance_reach': [3]}}
    labels      pairs of each lag among those scored; constant: what the best constant answer reaches
    latitudes, seasons   {method: {class: [3]}} lag error in hours
    map         lag error in hours of the main method on coarse cells, south first, with its extent
    """
    classes, step = prepared.meta['lags'], float(prepared.meta['step_hours'])
    by, _ = runs(measured, prepared)
    found = {name: scores.means(pairs, by, step) for name, pairs in methods.items()}
    distances = {
        name: scores.curve(distance, measured.lag, classes, by, step) for name, distance in measured.distances.items()
    }
    for method, name in MEASURES.items():
        if method in found and name in distances:
            found[method] |= {score: distances[name][score] for score in ('distance_rank', 'distance_reach')}
    labels = np.bincount(measured.lag, minlength=classes)
    details: dict[str, Any] = {
        'methods': found,
        'better': {
            name: scores.better(methods[MAIN], pairs, by, step) for name, pairs in methods.items() if name != MAIN
        },
        'confusion': {name: scores.confusion(p, measured.lag) for name, p in probabilities.items()},
        'distances': distances,
        'labels': labels,
        'constant': {
            'accuracy': labels.max() / labels.sum(),
            'lag_error': step * np.abs(measured.lag - np.median(measured.lag)).mean(),
        },
    }
    errors = {name: pairs['lag_error'] for name, pairs in methods.items() if name in (MAIN, CLASSIFIER, MIDDLE)}
    times = decode_times(measured.seconds, prepared.meta['calendar'])
    groups: dict[str, tuple[np.ndarray, Sequence[str]]] = {'seasons': (season(times), SEASONS)}
    places = centres(prepared.statics, measured.row, measured.column, prepared.meta['patch'])
    if places is not None:
        groups['latitudes'] = bands(places[0])
    for title, (named, names) in groups.items():
        details[title] = {m: scores.by_class(e, named, by, names, step) for m, e in errors.items()}
    details['map'] = error_map(step * errors[MAIN], places, measured.row, measured.column)
    return details


def runs(measured: Measured, prepared: Prepared) -> tuple[np.ndarray, str]:
    """([N] what is resampled, its blocks in words).

    Pairs share their errors as long as they see the same weather: a block holds the longest lag, in whole days, and a
    day more. `bootstrap` draws blocks of two units at least, so a unit is a run of half as many days, shorter where
    fewer than three blocks would be left. Sectors of longitude, where days are too few, stay as they are.
    """
    days = len(np.unique(measured.seconds // scores.DAY))
    units = np.unique(scores.units(measured.seconds, measured.column, prepared.meta['grid'][1]), return_inverse=True)[1]
    if days < scores.FEWEST_DAYS:
        length = block_length(units.max() + 1)
        return units, f'{length} of {scores.SECTORS} sectors of longitude, days being too few'
    longest = 3600 * float(prepared.meta['step_hours']) * prepared.meta['lags']
    wanted = int(np.ceil(longest / scores.DAY)) + 1
    run = min(-(-wanted // 2), days // scores.FEWEST_DAYS)
    by = units // run
    return by, f'{run * block_length(by.max() + 1)} days'


def bands(latitude: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(name of the band of each latitude [N], all names from the north)."""
    edges = range(90 - BAND, -91, -BAND)
    names = [f'{_degrees(edge)} to {_degrees(edge + BAND)}' for edge in edges]
    index = np.clip((90 - latitude) // BAND, 0, len(names) - 1).astype(int)
    return np.array(names)[index], names


def _degrees(latitude: float) -> str:
    return f'{abs(latitude):g}°' + ('N' if latitude > 0 else 'S' if latitude < 0 else '')


def error_map(
    error: np.ndarray, places: tuple[np.ndarray, np.ndarray] | None, row: np.ndarray, column: np.ndarray
) -> dict[str, Any]:
    """Mean error of the patches whose middle lies in each coarse cell, NaN where they are few; south first."""
    y, x = (row, column) if places is None else places
    cells = [count if np.ptp(values) else 1 for count, values in zip(CELLS, (y, x), strict=True)]
    counts, ys, xs = np.histogram2d(y, x, cells)
    total = np.histogram2d(y, x, cells, weights=error)[0]
    return {
        'values': np.where(counts >= FEWEST, total / np.maximum(counts, 1), np.nan),
        'extent': np.array([xs[0], xs[-1], ys[0], ys[-1]]),
    }


def draw(
    opened: LearnedDistance, prepared: Prepared, details: dict[str, Any], found: Sequence[lag_figures.Neighbours]
) -> dict[str, str]:
    """Writes workdir/figures/NAME.png and returns {name: caption}."""
    folder, step = opened.workdir / 'figures', float(prepared.meta['step_hours'])
    folder.mkdir(exist_ok=True)
    what = subtitle(opened, prepared, details)
    stage = f'{MAIN}, stage {len(opened.task.encoder.widths) - 1}'
    shown = (MAIN, stage, UNTRAINED, 'MSE', 'L1', '1/PSNR', '1 - SSIM')
    axes = ('longitude (°E)', 'latitude (°N)') if 'latitudes' in details else ('column', 'row')
    figures = {
        'confusion': lag_figures.confusion(
            {name: details['confusion'][name] for name in (MAIN, CLASSIFIER)}, step, 'Which lag is told', what
        ),
        'distance': lag_figures.distance(
            {name: details['distances'][name] for name in shown if name in details['distances']},
            step,
            'Distance against lag',
            what,
        ),
        'skill': lag_figures.skill(
            lag_figures.Map(details['map']['values'], tuple(details['map']['extent']), axes),
            {name: shown_classes(details, name) for name in (MAIN, CLASSIFIER)},
            [list(details[key][MAIN]) for key in ('latitudes', 'seasons') if key in details],
            'Where and when lags are told',
            what,
        ),
        'training': curves.training(read(opened.workdir / 'metrics.jsonl'), title='Training', subtitle=what),
    }
    if found:
        quantity = f'{prepared.transform_as(Standardisation).variables[0]}, transformed'
        figures['neighbours'] = lag_figures.neighbours(found, quantity, 'Nearest neighbours', what)
    captions = {
        'confusion': 'Share of the pairs of each true lag by the lag that was told. White: at most a step off.',
        'distance': 'Left: mean distance of two patches of one place by the lag between them, over that at the longest '
        'lag; band: 5 to 95 % over resampled days. A distance that follows the dynamics keeps growing. Right: standard '
        'deviation of single pairs over their mean.',
        'skill': 'Mean absolute error of the told lag: by place of the middle of the patch, by latitude and by season. '
        'Bars: 5 to 95 % over resampled days.',
        'neighbours': 'Patches of the test split and those nearest to them, at other times, by the encoder and by MSE.',
        'training': 'Loss of the networks.',
    }
    for name, figure in figures.items():
        look.save(figure, folder / f'{name}.png')
    return {name: captions[name] for name in captions if name in figures}


def shown_classes(details: dict[str, Any], method: str) -> dict[str, np.ndarray]:
    """{latitude band or season: [3]} lag error."""
    return {**details.get('latitudes', {}).get(method, {}), **details['seasons'][method]}


def subtitle(opened: LearnedDistance, prepared: Prepared, details: dict[str, Any]) -> str:
    data = 'Idealised atmosphere' if prepared.meta['idealised'] else Path(opened.config['data']['path']).name
    return f'{data}, {int(details["labels"].sum())} test pairs'


def headline(table: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """What the report says first."""
    main, chance, middle, classifier = (table[name] for name in (MAIN, CHANCE, MIDDLE, CLASSIFIER))
    facts = {
        'Accuracy / chance': divide(main['accuracy'], chance['accuracy']),
        'Lag error / middle lag': divide(main['lag_error'], middle['lag_error']),
        'Median lag error / middle lag': divide(main['median_error'], middle['median_error']),
        'Lag error / MSE classifier': divide(main['lag_error'], classifier['lag_error']),
    }
    if 'distance_rank' in main:
        facts['Rank correlation with lag'] = f'{main["distance_rank"]:.2f}'
    if 'distance_reach' in main and 'distance_reach' in classifier:
        facts['90 % of the distance; of MSE'] = f'{main["distance_reach"]:.1f} h; {classifier["distance_reach"]:.1f} h'
    return {name: value for name, value in facts.items() if value}


def tables(details: dict[str, Any]) -> list[report.Table]:
    names = [name for name in scores.SCORES if name in details['better'][CLASSIFIER]]
    missing = [np.nan] * 3
    result = [
        report.Table(
            f'{MAIN} minus its rivals',
            'Rival',
            [titled(name) for name in names],
            {rival: [found.get(name, missing) for name in names] for rival, found in details['better'].items()},
            'On the same pairs; a difference whose interval holds zero is none.',
        ),
        report.Table(
            'Distances',
            'Measure',
            ['Rank correlation', 'Reaches 90 % (h)'],
            {n: [found['distance_rank'], found['distance_reach']] for n, found in details['distances'].items()},
        ),
    ]
    for key, title in (('latitudes', 'Lag error (h) by latitude'), ('seasons', 'Lag error (h) by season')):
        if key in details:
            methods = list(details[key])
            rows = {name: [details[key][m][name] for m in methods] for name in details[key][MAIN]}
            result.append(report.Table(title, 'Class', methods, rows))
    return result


def titled(name: str) -> str:
    """A score and its unit."""
    score = scores.SCORES[name]
    return score.long_name if score.unit == '1' else f'{score.long_name} ({score.unit})'


def notes(
    opened: LearnedDistance, prepared: Prepared, measured: Measured, details: dict[str, Any], fitted: int
) -> list[str]:
    """What the reader should know before trusting the numbers; `fitted`: pairs that the classifier was fitted to."""
    days, constant = len(np.unique(measured.seconds // scores.DAY)), details['constant']
    labels = details['labels']
    _, blocks = runs(measured, prepared)
    asked = PROBE in opened.tasks
    probed = f' {PROBE}: a tail trained on the finished encoder of {list(opened.tasks)[-2]}.' if asked else ''
    return [
        f'{len(measured.lag)} pairs, evenly spread over {days} days of the test split; of each lag {labels.min()} to '
        f'{labels.max()}. The best constant answer reaches an accuracy of {constant["accuracy"]:.3f} and an error of '
        f'{constant["lag_error"]:.2f} h. Intervals: 5 to 95 % over resampled blocks of {blocks}.',
        f'{MAIN}: {opened.provenance(opened.last)}. {CLASSIFIER}: logistic regression on the logarithm of the MSE and '
        "Fisher's z of the pattern correlation of each variable, their squares and products, fitted to "
        f'{fitted} pairs of the training split. '
        f'{UNTRAINED}: a tail trained on an encoder whose weights stay as they were drawn.{probed}',
    ]
