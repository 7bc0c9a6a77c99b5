"""What XLA is told beyond its defaults."""

import jax

YNNPACK = 'LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE'


def options() -> dict[str, str] | None:
    """`compiler_options` of `jax.jit` for this backend.

    On CPUs JAX 0.10 gives products, sums and convolutions to YNNPACK, which runs a convolution on one thread. Left out
    of its list, convolutions go to Eigen, on all threads: 1.4 to 1.9 times as fast on two cores. In JAX 0.12 YNNPACK's
    have threads.
    """
    stale = jax.__version_info__ < (0, 11) and jax.default_backend() == 'cpu'
    return {'xla_cpu_experimental_ynn_fusion_type': YNNPACK} if stale else None
