"""The request for an ensemble, which identifies the contents of a store."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.settings import GenerationSettings
from downscale_jax.fields.datasets.files import paths
from downscale_jax.fields.datasets.times import encode_times
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.settings import flatten


class Source(NamedTuple):
    """Where the coarse inputs of an ensemble come from."""

    input: str
    input_state: str = ''  # `file_state` of the input, or another digest of its contents
    statics: str = ''  # file of the fine grid; empty: that of training
    statics_state: str = ''
    overlap: tuple[str, ...] = ()  # dates of the bias correction


def file_state(*inputs: str) -> str:
    """Digest of names, sizes and times of change of the local files behind these paths, empty where there are none."""
    files = [file for path in inputs for file in paths.fingerprint(path)]
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16] if files else ''


FORMAT = 2  # of the request in a store


@dataclass(frozen=True)
class StoreRequest:
    """What determines the bytes of a store: two equal requests give the same bytes."""

    source: Source
    model: str  # digest of the parameters
    times: str  # digest of the time stamps
    members: int
    seed: int
    settings: GenerationSettings

    @classmethod
    def of(cls, ensemble: Ensemble, source: Source) -> 'StoreRequest':
        generator, sampling = ensemble.generator, ensemble.generator.sampling
        drawn = sampling and replace(sampling, temperature=sampling.noise_factor)
        return cls(
            source,
            generator.identity,
            hashlib.sha256(encode_times(ensemble.inputs.times).tobytes()).hexdigest()[:16],
            ensemble.members,
            ensemble.seed,
            GenerationSettings(generator.partition, drawn, generator.conserve),
        )

    def to_json(self) -> str:
        """As it stands in the attributes of a store, by the names that users know."""
        partition, sampling, conserve = self.settings.partition, self.settings.sampling, self.settings.conserve
        values = {
            'format': FORMAT,
            **self.source._asdict(),
            **{name: getattr(self, name) for name in ('model', 'times', 'members', 'seed')},
            'sampling': {**asdict(partition), **(asdict(sampling) if sampling else {}), 'conserve': conserve},
        }
        return json.dumps(values)

    def conflict(self, stored: str, place: str) -> UserError | None:
        """The error to raise if the store at `place` holds another request, `stored` as JSON; None if it holds this."""
        theirs, ours = (flatten(json.loads(text)) for text in (stored, self.to_json()))
        if theirs.keys() != ours.keys():
            return UserError(
                f'{place} was begun by another version of downscale_jax or with another kind of model: choose another '
                '--output or remove it'
            )
        differences = {key: (theirs[key], ours[key]) for key in ours if theirs[key] != ours[key]}
        for name in ('input', 'statics'):
            if f'{name}_state' in differences and name not in differences:
                return UserError(
                    f'{theirs[name]} has changed since {place} was begun: choose another --output or remove it'
                )
        if {'input', 'statics'} & differences.keys():  # another file has another state and possibly other times
            for consequence in ('input_state', 'statics_state', 'times'):
                differences.pop(consequence, None)
        if not differences:
            return None
        listed = ', '.join(f'{key}: {a!r} in the store, {b!r} requested' for key, (a, b) in sorted(differences.items()))
        return UserError(
            f'{place} holds an ensemble of another request ({listed}): choose another --output or remove it'
        )
