"""Description of a config before training: layers, parameters, cost and memory of a training step."""

from pathlib import Path
from typing import Any

import jax

from downscale_jax.runtime import messages, parallel
from downscale_jax.runtime.files import write_json
from downscale_jax.systems import system_of
from downscale_jax.systems.system import Config
from downscale_jax.systems.workdir import zeros
from downscale_jax.training.loop import abstract_state, train_program, zero_sums


def describe(config: Config, workdir: Path) -> None:
    """Prints the description and writes describe.json into the work directory."""
    system, key = system_of(config), jax.random.key(0)
    tasks = system.build(config)
    rows = config['training']['batch_size'] // jax.device_count()
    batch = parallel.abstract(zeros(system.shapes(config), rows * jax.device_count()), parallel.SHARDED_ROWS)
    states: dict[str, Any] = {}
    cost: dict[str, float] = {}
    for name, task in tasks.items():
        states[name] = abstract_state(task, system.initialise(name, tasks), batch, 0)
        sums = zero_sums(task, states[name], batch, key)
        step = train_program(task, task.phases[0], key).lower(states[name], sums, batch).compile()
        cost = step.cost_analysis()
        messages.info(
            f'{name}: {size(states[name].params):,} parameters; a step of {rows} examples per device: '
            f'{cost["flops"] / 1e9:.3g} GFLOP, {cost["bytes accessed"] / 1e9:.3g} GB read and written, '
            f'{step.memory_analysis().temp_size_in_bytes / 2**20:,.0f} MiB of temporary memory'
        )
    networks = system.networks(states)
    main, variables = list(networks.items())[-1]
    messages.info(f'layers of the {main}:')
    for layer, weights in variables['params'].items():
        kernel = max(jax.tree.leaves(weights), key=lambda leaf: leaf.size).shape
        messages.info(f'  {layer:24} {size(weights):>10,}  {" x ".join(map(str, kernel))}')
    described = {
        'parameters': {name: size(variables) for name, variables in networks.items()},
        'step_flops': cost['flops'],
        'step_bytes': cost['bytes accessed'],
    }
    workdir.mkdir(parents=True, exist_ok=True)
    if jax.process_index() == 0:
        write_json(workdir / 'describe.json', described)


def size(tree: Any) -> int:
    """Number of values in a tree of variables: parameters and, if any, batch statistics."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
