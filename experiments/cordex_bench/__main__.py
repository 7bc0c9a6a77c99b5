"""CORDEX ML-Bench from a trained model to an archive to submit (docs/guides/cordex_bench.md).

    python -m experiments.cordex_bench predict --workdir=runs/cordex_bench-ALPS --submission=out/NAME-VERSION[-orog]
        [--root=Bench-data] [--members=10] [--seed=0] [--config.sampling.KEY=VALUE ..]
    python -m experiments.cordex_bench score PREDICTIONS --truth=TRUTH [--output=scores.json]
    python -m experiments.cordex_bench check SUBMISSION [--root=Bench-data] [--domains=ALPS,NZ,SA]
        [--experiments=ESD,Emulator]
    python -m experiments.cordex_bench pack SUBMISSION [the options of check]

predict writes every test file of the domain and experiment of the work directory; a killed run resumes. score compares
a prediction, or all of a submission, with a file of targets or with the tree that holds them. check lists the faults of
any submission, one per line, and ends with status 2 if there are any. pack checks and archives a submission.
"""

import argparse
from pathlib import Path

from downscale_jax.runtime import messages, parallel
from downscale_jax.runtime.errors import UserError
from experiments.command_line import Parser, at_least, run_program, seed_number
from experiments.cordex_bench.check import Expected, faults
from experiments.cordex_bench.layout import DOMAINS, EXPERIMENTS, MEMBERS
from experiments.cordex_bench.pack import pack
from experiments.cordex_bench.score import score
from experiments.many_runs import parse_overrides


def parse(argv: list[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """The options, and overrides of the config of a work directory."""
    parser = Parser(__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    one = commands.add_parser('predict')
    one.add_argument('--workdir', type=Path, required=True)
    one.add_argument('--submission', type=Path, required=True, help='folder, which has the name of the submission')
    one.add_argument('--root', type=Path, help='of the data; by default that of training')
    one.add_argument('--members', type=at_least(1), default=MEMBERS, help='of a generative model')
    one.add_argument('--seed', type=seed_number, default=0)
    one = commands.add_parser('score')
    one.add_argument('predictions', type=Path)
    one.add_argument('--truth', type=Path, required=True, help='a file of targets, or the root of the data')
    one.add_argument('--output', type=Path, default=Path('scores.json'))
    for name in ('check', 'pack'):
        one = commands.add_parser(name)
        one.add_argument('submission', type=Path)
        one.add_argument('--root', type=Path, default=Path('Bench-data'))
        one.add_argument('--domains', default=','.join(DOMAINS))
        one.add_argument('--experiments', default=','.join(EXPERIMENTS))
    options, others = parser.parse_known_args(argv)
    if others and options.command != 'predict':
        raise UserError(f"'{others[0]}' is not an argument of {options.command}: see --help")
    return options, others


def main(argv: list[str] | None = None) -> None:
    options, others = parse(argv)
    messages.to_terminal()
    if options.command == 'score':
        score(options.predictions, options.truth, options.output)
    elif options.command == 'predict':
        from experiments.cordex_bench.predict import predict

        parallel.initialize()
        predict(
            options.workdir, options.submission, options.members, options.seed, options.root, parse_overrides(others)
        )
    else:
        expected = Expected.of(options.root, options.domains.split(','), options.experiments.split(','))
        if lines := faults(options.submission, expected):
            print('\n'.join(lines))
            raise UserError(f'{options.submission} has {len(lines)} faults')
        messages.info(f'{options.submission}: no fault')
        if options.command == 'pack':
            pack(options.submission, expected)


if __name__ == '__main__':
    run_program(main)
