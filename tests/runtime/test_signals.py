"""SIGINT and SIGTERM end a program in one line, with its status, and partial files removed."""

import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.signals import heeding_signals

WORK = """
    import sys, time
    from downscale_jax.runtime.errors import exit_on_user_error
    from downscale_jax.runtime.signals import exit_on_signals, raise_on_signals
    {handlers}
    with exit_on_user_error():
        try:
            {work}
        finally:
            print('tidied', flush=True)
"""
# short sleeps: a signal in the moment before the system sleeps is heeded only at the end of that sleep
SLEEP = "print('ready', flush=True); [time.sleep(0.1) for _ in range(600)]"
IN_A_DESTRUCTOR = f"""
            class Slow:
                def __del__(self):
                    {SLEEP}
            Slow()
            [time.sleep(0.1) for _ in range(600)]"""


def stopped(number, handlers, work):
    code = textwrap.dedent(WORK.format(handlers=handlers, work=work))
    with subprocess.Popen(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == 'ready\n'
        process.send_signal(number)
        out, errors = process.communicate(timeout=30)
    return process.returncode, out, errors.splitlines()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_work_is_tidied_up(number):
    status, out, lines = stopped(number, 'raise_on_signals()', SLEEP)
    assert (status, out, len(lines)) == (128 + number, 'tidied\n', 1)
    assert signal.Signals(number).name in lines[0]


def test_start_up_ends_at_once():
    status, out, lines = stopped(signal.SIGINT, 'exit_on_signals()', SLEEP)
    assert (status, out, len(lines)) == (130, '', 1)


def test_a_dropped_exception_is_raised_once_more():
    status, out, lines = stopped(signal.SIGINT, 'raise_on_signals()', IN_A_DESTRUCTOR)
    assert (status, out, len(lines)) == (130, 'tidied\n', 1)


def test_a_signal_that_does_not_wake_the_main_thread_ends_its_wait():
    """It is delivered to the other thread, as if it had come just before the main thread began to wait."""
    released = threading.Event()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # other tests may have left another one

    def wait():
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        return released.wait(60)

    try:
        with pytest.raises(KeyboardInterrupt):
            heeding_signals(wait)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not released.is_set()
    released.set()


def fail():
    raise UserError('asked to fail')


def test_a_wait_in_another_thread_gives_its_result_or_its_error():
    assert heeding_signals(lambda: 3) == 3
    with pytest.raises(UserError, match='asked'):
        heeding_signals(fail)
