"""What tests share: real files, a compilation cache."""

import os
from pathlib import Path

import pytest

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
# before JAX starts: tests spend their time compiling, so compile fast and keep what was compiled
os.environ.setdefault('XLA_FLAGS', '--xla_backend_optimization_level=0')
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(Path.home() / '.cache' / 'downscale_jax' / 'xla-tests'))
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.3')
REAL = Path(__file__).parents[2] / 'shared' / 'data'


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Real files beside the checkout; in CI their absence is a failure."""
    if not REAL.is_dir():
        if os.environ.get('CI') == 'true':
            pytest.fail(f'the real data are missing: {REAL}')
        pytest.skip('no real data beside the checkout')
    return REAL
