"""Check of a submission to CORDEX ML-Bench: one line per fault, with the file and the way out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import xarray as xr

from downscale_jax.fields.datasets import store
from downscale_jax.runtime.errors import UserError, suggestion
from experiments.cordex_bench.check_file import Reference, file_faults, form_of
from experiments.cordex_bench.layout import DOMAINS, EXPERIMENTS, OROGRAPHY, Case, check_name, present_cases


class Expected(NamedTuple):
    """What a submission, or a part of it, must hold."""

    root: Path  # of the data
    cases: tuple[tuple[Case, str], ...]  # with the experiment

    @classmethod
    def of(cls, root: Path, domains: Sequence[str], experiments: Sequence[str]) -> 'Expected':
        """Every test file in the tree for every experiment. Raises UserError for unknown names and an empty tree."""
        for names, known, option in ((domains, DOMAINS, '--domains'), (experiments, EXPERIMENTS, '--experiments')):
            for name in names:
                if name not in known:
                    raise UserError(f"{option}: '{name}' is unknown: {suggestion(name, known)}")
        cases = [(case, name) for d in domains for name in experiments for case in present_cases(root, DOMAINS[d])]
        return cls(root, tuple(cases))

    def predictions(self, submission: Path) -> list[Path]:
        return [case.prediction(submission, experiment) for case, experiment in self.cases]


def faults(submission: Path, expected: Expected) -> list[str]:
    """All faults of a submission. Raises UserError where the folder does not exist or the tree lacks a target file."""
    if not submission.is_dir():
        raise UserError(f'{submission} is not a folder: give that of the submission, named name-version[-orog]')
    return [*name_faults(submission), *set_faults(submission, expected), *all_file_faults(submission, expected)]


def name_faults(submission: Path) -> Iterator[str]:
    try:
        check_name(submission.resolve().name)
    except UserError as error:
        yield str(error)


def set_faults(submission: Path, expected: Expected) -> Iterator[str]:
    """Files that are missing, and files that do not belong to the benchmark."""
    wanted = expected.predictions(submission)
    for path in wanted:
        if not path.is_file():
            yield f'{path}: missing: predict all test files'
    parts = {path.relative_to(submission).parts[:2] for path in wanted}
    elsewhere = {f'{domain}_Domain' for domain in DOMAINS}  # domains and experiments that are not checked
    for path in sorted(submission.rglob('*')):
        inner = path.relative_to(submission).parts
        if path.is_file() and path not in wanted and (inner[:2] in parts or inner[0] not in elsewhere):
            near = suggestion(str(path), map(str, wanted), 'remove it')
            yield f'{path}: the benchmark has no file of this name; {near}'


def all_file_faults(submission: Path, expected: Expected) -> Iterator[str]:
    """Faults of the files, each by itself, and differences between them."""
    forms: dict[str, list[str]] = {}
    for case, experiment in expected.cases:
        path = case.prediction(submission, experiment)
        if not path.is_file():
            continue
        try:
            prediction = store.open_dataset(str(path))
        except UserError as error:
            yield str(error)
            continue
        for fault in file_faults(prediction, reference_of(case, expected.root)):
            yield f'{path}: {fault}'
        yield from orography_faults(submission, path, prediction)
        forms.setdefault(form_of(prediction), []).append(str(path))
    if len(forms) > 1:
        listed = ', '.join(f'{len(paths)} {form} (such as {paths[0]})' for form, paths in forms.items())
        yield f'{submission}: a submission is either deterministic or generative throughout, found {listed}'


def orography_faults(submission: Path, path: Path, prediction: xr.Dataset) -> Iterator[str]:
    """An attribute `orography` of a file that contradicts the name of the submission."""
    named = submission.resolve().name.endswith(OROGRAPHY)
    said = prediction.attrs.get('orography')
    if said in ('yes', 'no') and (said == 'yes') != named:
        way = 'end' if said == 'yes' else 'not end'
        yield f"{path}: orography='{said}', so the name of the submission must {way} in {OROGRAPHY}"


def reference_of(case: Case, root: Path) -> Reference:
    """The predictors of a case, and the targets on whose grid it is predicted."""
    folder = case.domain.folder(root) / 'train'
    targets = sorted(folder.glob('*/target/pr_tasmax_*.nc'))
    if not targets:
        raise UserError(f'{folder} has no target file of training (*/target/pr_tasmax_*.nc): check --root')
    predictors = case.predictors(root)
    return Reference(case.domain, store.open_dataset(str(predictors)), store.open_dataset(str(targets[0])))
