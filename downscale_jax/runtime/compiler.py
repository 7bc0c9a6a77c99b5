"""XLA compiler options beyond the defaults."""

import jax

YNNPACK = 'LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE'


def options() -> dict[str, str] | None:
    """`compiler_options` of `jax.jit` for the current backend.

    On CPUs JAX 0.10 compiles matrix products, reductions and convolutions to YNNPACK, whose convolutions use a single
    thread. This list leaves convolutions to Eigen, which uses all threads: 1.4 to 1.9 times as fast on two cores.
    YNNPACK's convolutions are multi-threaded in JAX 0.12.
    """
    single_threaded = jax.__version_info__ < (0, 11) and jax.default_backend() == 'cpu'
    return {'xla_cpu_experimental_ynn_fusion_type': YNNPACK} if single_threaded else None
