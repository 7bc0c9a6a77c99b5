"""Description of a config before training: layers, parameters, cost and memory of a step, duration on this machine."""

from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import jax
import numpy as np

from downscale_jax.runtime import memory, messages, parallel
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import disk_error, write_json
from downscale_jax.runtime.memory import format_bytes
from downscale_jax.systems import system_of
from downscale_jax.systems.checks import before_training
from downscale_jax.systems.storage.claim import check_config
from downscale_jax.systems.system import Config
from downscale_jax.systems.workdir import zeros
from downscale_jax.training.loop import abstract_state, train_program


def describe(config: Config, workdir: Path) -> None:
    """Prints the description and writes describe.json into the work directory.

    Raises UserError as `described`, and where the work directory was made with other settings or cannot be written.
    """
    check_config(config, workdir)
    description = described(config)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f'cannot create the work directory {workdir}: {disk_error(error)}') from error
    if jax.process_index() == 0:
        write_json(workdir / 'describe.json', description)


def described(config: Config) -> dict[str, Any]:
    """Prints the description and returns what describe.json holds.

    Raises UserError for invalid settings, and for a training step that needs more memory than is free.
    """
    system = system_of(config)
    tasks = before_training(system, config)
    rows = config['training']['batch_size'] // jax.device_count()
    batch = parallel.abstract(zeros(system.shapes(config), rows * jax.device_count()), parallel.SHARDED_ROWS)
    states: dict[str, Any] = {}
    cost: dict[str, float] = {}
    for name, task in tasks.items():
        states[name] = abstract_state(task, system.initialise(name, tasks), batch, 0)
        step = train_program(task, task.phases[0], config['seed']).lower(states[name], batch).compile()
        cost = step.cost_analysis()
        temporary, needed = memory_of(step)
        messages.info(
            f'{name}: {size(states[name].params):,} parameters; a step of {rows} examples per device: '
            f'{cost["flops"] / 1e9:.3g} GFLOP, {cost["bytes accessed"] / 1e9:.3g} GB read and written, '
            f'{temporary / 2**20:,.0f} MiB of temporary memory'
        )
        if needed > (free := memory.available()):
            raise UserError(
                f'training.batch_size={config["training"]["batch_size"]}: a step of {name} needs '
                f'{format_bytes(needed)} of memory on each device, but {format_bytes(free)} are free: choose a '
                'smaller one, or raise training.accumulate'
            )
        steps = sum(phase.steps for phase in task.phases)
        seconds = step_seconds(step, states[name], batch)
        messages.info(
            f'{name}: {steps:,} steps of {seconds:.3g} s, one of which was measured: about '
            f'{timedelta(seconds=round(steps * seconds))} (hours:minutes:seconds) on this machine'
        )
    networks = system.networks(states)
    main, variables = list(networks.items())[-1]
    messages.info(f'layers of the {main}:')
    for layer, weights in variables['params'].items():
        kernel = max(jax.tree.leaves(weights), key=lambda leaf: leaf.size).shape
        messages.info(f'  {layer:24} {size(weights):>10,}  {" x ".join(map(str, kernel))}')
    return {
        'parameters': {name: size(variables) for name, variables in networks.items()},
        'step_flops': cost['flops'],
        'step_bytes': cost['bytes accessed'],
    }


def memory_of(step: Any) -> tuple[int, int]:
    """(temporary bytes, all bytes including state and batch) of a compiled step, per device; zeros where the backend
    reports none."""
    if (found := step.memory_analysis()) is None:
        return 0, 0
    temporary: int = found.temp_size_in_bytes
    held = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
    return temporary, temporary + held


def step_seconds(step: Any, state: Any, batch: Any) -> float:
    """Of a compiled training step, the second of two, on zeros of these shapes."""
    processes = jax.process_count()
    state = parallel.replicate(jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), state))
    rows = parallel.split_rows(
        jax.tree.map(lambda x: np.zeros((x.shape[0] // processes, *x.shape[1:]), x.dtype), batch)
    )
    for _ in range(2):
        start = perf_counter()
        state, _ = jax.block_until_ready(step(state, rows))
    return perf_counter() - start


def size(tree: Any) -> int:
    """Number of values in a tree of variables: parameters and, if any, batch statistics."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
