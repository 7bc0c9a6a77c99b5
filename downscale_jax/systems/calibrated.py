"""`Calibrated`: a downscaler by diffusion whose noise temperature is fitted on the validation split.

The temperature is a factor of all noise that the sampler draws. `calibrate` fits it so that the spread of the ensemble
matches the error of its mean and keeps it in calibration.json beside the checkpoints; `sampling.temperature` overrides
it.
"""

from pathlib import Path
from typing import Any, NamedTuple

from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import read_json, reading, write_json
from downscale_jax.systems.downscaler import Downscaler
from downscale_jax.systems.system import Config
from downscale_jax.systems.temperature import fit

CALIBRATION = 'calibration.json'
REFIT = 'remove it and fit it again (--mode=calibrate)'


class Calibration(NamedTuple):
    """A fitted noise temperature, as calibration.json holds it."""

    request: dict[str, Any]  # network and solver that it was fitted to
    temperature: float
    records: int
    before: float  # spread/skill on these records of validation at temperature 1
    after: float  # and at the fitted temperature


def read_calibration(path: Path) -> Calibration:
    """Raises UserError where the file is damaged."""
    stored = read_json(path, REFIT)
    with reading(path, REFIT):
        before, after = (float(stored[name]['spread_skill']) for name in ('before', 'after'))
        return Calibration(dict(stored['request']), float(stored['temperature']), int(stored['records']), before, after)


class Calibrated(Downscaler):
    """A trained diffusion model, with its fitted noise temperature."""

    def fitted(self) -> FieldGenerator | None:
        """The last task at its fitted temperature; None where none was fitted or `sampling.temperature` is set.

        Raises UserError where the temperature was fitted to another network or another solver.
        """
        generator, path = self.generator(self.last), self.workdir / CALIBRATION
        if self.config['sampling']['temperature'] is not None or not path.exists():
            return None
        calibration = read_calibration(path)
        if fit_request(generator).items() - calibration.request.items():
            raise UserError(
                f'the noise temperature in {path} was fitted to another network or with other values of sampling: '
                'fit it again (--mode=calibrate) or set it (--config.sampling.temperature=1)'
            )
        return generator.with_sampling(temperature=calibration.temperature)

    def best(self) -> FieldGenerator:
        """The generator that downscales: the last task, calibrated where a temperature was fitted."""
        return self.fitted() or self.generator(self.last)


def fit_request(generator: FieldGenerator) -> dict[str, Any]:
    """The network and the solver that a temperature is fitted to. Tiles and correlation in time leave the spread as it
    is."""
    names = ('sampler', 'steps', 'spacing', 'eta')
    return {'model': generator.identity, **{name: getattr(generator.sampling, name) for name in names}}


def is_wanted(config: Config) -> bool:
    """Whether the config leaves the temperature open and provides records to fit it on."""
    return config['sampling']['temperature'] is None and config['evaluation']['calibration_records'] > 0


def calibrate(opened: Calibrated, prepared: Prepared) -> None:
    """Writes calibration.json, unless it holds this fit already.

    Raises UserError where the config sets a temperature or provides no records.
    """
    config, generator, path = opened.config, opened.generator(opened.last), opened.workdir / CALIBRATION
    records = config['evaluation']['calibration_records']
    if not is_wanted(config):
        raise UserError(
            f'sampling.temperature={config["sampling"]["temperature"]}, evaluation.calibration_records={records}: '
            'calibration needs the first to be None (not set) and the second to be at least 1'
        )
    request = {**fit_request(generator), 'wanted': records}
    if not path.exists() or read_calibration(path).request != request:
        fitted = fit(generator, prepared, records, max(2, generator.partition.members), config['seed'])
        write_json(path, {'request': request, **fitted})
    calibration = read_calibration(path)
    messages.info(
        f'noise temperature {calibration.temperature:.3f}: spread/skill {calibration.after:.2f} on '
        f'{calibration.records} records of validation, {calibration.before:.2f} at temperature 1'
    )
    if not 0.9 < calibration.after < 1.1:
        messages.warning('calibration did not correct the spread: check the regression, or train longer')
