"""SIGINT and SIGTERM end a program in one line, with its status, and partial files removed."""

import signal
import subprocess
import sys
import textwrap

import pytest

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
SLEEP = "print('ready', flush=True); time.sleep(60)"
IN_A_DESTRUCTOR = """
            class Slow:
                def __del__(self):
                    print('ready', flush=True)
                    time.sleep(60)
            Slow()
            time.sleep(60)"""


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
