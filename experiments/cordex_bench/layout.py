"""Layout of CORDEX ML-Bench: domains, periods, the tree of data, names of predictions and submissions."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from configs.cordex_bench import GCMS
from downscale_jax.runtime.errors import UserError, suggestion

EXPERIMENTS = {'ESD': 'ESD_pseudo_reality', 'Emulator': 'Emulator_hist_future'}
PERIODS = {'historical': '1981-2000', 'mid_century': '2041-2060', 'end_century': '2080-2099'}
CONDITIONS = ('perfect', 'imperfect')
TARGETS = ('pr', 'tasmax')
UNITS = {'pr': 'mm/day', 'tasmax': 'K'}  # by definition, where a file names none
MEMBERS = 10  # of a generative model
OROGRAPHY = '-orog'  # ends the name of a submission that uses the orography
NAME = re.compile(r'[A-Za-z0-9_.]+(-[A-Za-z0-9_.]+){1,2}')  # name-version[-orog]


class Domain(NamedTuple):
    """One of the regions."""

    name: str
    gcms: tuple[str, str]  # that of training, and the other, to which models are transferred
    dims: tuple[str, str]  # of the fine grid

    def folder(self, root: Path) -> Path:
        """Its data in the tree."""
        return root / self.name / f'{self.name}_domain'


DOMAINS = {
    domain.name: domain
    for domain in (
        Domain('ALPS', (GCMS['ALPS'], 'MPI-ESM-LR'), ('y', 'x')),
        Domain('NZ', (GCMS['NZ'], 'EC-Earth3'), ('lat', 'lon')),
        Domain('SA', (GCMS['SA'], 'NorESM2-MM'), ('lat', 'lon')),
    )
}


class Case(NamedTuple):
    """A file of test predictors: a GCM in a period, coarsened from the RCM (perfect) or its own (imperfect)."""

    domain: Domain
    period: str
    condition: str
    gcm: str

    def predictors(self, root: Path) -> Path:
        return self._folder(root) / 'predictors' / self.condition / f'{self.gcm}_{PERIODS[self.period]}.nc'

    def truth(self, root: Path) -> Path:
        return self._folder(root) / 'target' / f'pr_tasmax_{self.gcm}_{PERIODS[self.period]}.nc'

    def prediction(self, submission: Path, experiment: str) -> Path:
        """`experiment` is a key of EXPERIMENTS."""
        folder = submission / f'{self.domain.name}_Domain' / EXPERIMENTS[experiment] / self.period / self.condition
        return folder / f'Predictions_pr_tasmax_{self.gcm}_{PERIODS[self.period]}.nc'

    def _folder(self, root: Path) -> Path:
        return self.domain.folder(root) / 'test' / self.period


def cases_of(domain: Domain) -> Iterator[Case]:
    """All test files that the benchmark has for a domain; every one is predicted for both experiments."""
    for period in PERIODS:
        for condition in CONDITIONS:
            for gcm in domain.gcms:
                yield Case(domain, period, condition, gcm)


def present_cases(root: Path, domain: Domain) -> list[Case]:
    """Those in the tree. Raises UserError without any."""
    present = [case for case in cases_of(domain) if case.predictors(root).is_file()]
    if not present:
        expected = next(cases_of(domain)).predictors(root)
        raise UserError(f'{root} holds no test predictors of {domain.name}, such as {expected}: check --root')
    return present


def experiment_of(name: str) -> str:
    """The key of EXPERIMENTS that `name` begins with. Raises UserError for another name."""
    if name not in EXPERIMENTS:
        raise UserError(f"data.experiment='{name}': {suggestion(name, EXPERIMENTS)}")
    return name


def check_name(name: str) -> None:
    """Raises UserError for the name of a submission that is not name-version or name-version-orog."""
    if not NAME.fullmatch(name) or (name.count('-') == 2 and not name.endswith(OROGRAPHY)):
        raise UserError(f"'{name}' is not a submission name: name-version, with {OROGRAPHY} if it uses the orography")
