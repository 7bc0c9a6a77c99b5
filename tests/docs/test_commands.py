"""Commands in the documents are those that the programs accept."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md'), *ROOT.glob('docs/gallery/*.*')])
# a process of its own for each command: the flags of absl are global
PARSER = """
import json, multiprocessing, sys
import main
from downscale_jax.runtime.errors import UserError

def error(arguments):
    sys.argv = ['main.py', *arguments]
    try:
        main.parse(sys.argv)
    except UserError as error:
        return str(error)

with multiprocessing.get_context('fork').Pool(1, maxtasksperchild=1) as pool:
    print(json.dumps(pool.map(error, json.load(sys.stdin), chunksize=1)))
"""


def commands_of(text):
    """The commands of a document's sh blocks, and those that it quotes, each as a list of arguments."""
    lines = ''.join(re.findall(r'```sh\n(.*?)```', text, re.DOTALL)).replace('\\\n', ' ').splitlines()
    quoted = re.findall(r'`((?:python|make) [^`]*)`', text.replace('\n', ' '))
    return [arguments for line in lines + quoted if (arguments := shlex.split(line, comments=True))]


def text_of(document):
    """The text of a document; that of a script of the gallery stands in its comments."""
    text = document.read_text()
    return re.sub('\n# ', '\n', text) if document.suffix == '.py' else text


COMMANDS = [command for document in DOCUMENTS for command in commands_of(text_of(document))]
MODULES = sorted({command[2] for command in COMMANDS if command[:2] == ['python', '-m']} - {'experiments.NAME'})


def test_commands_are_collected():
    text = '```sh\npython main.py --a="(1, 2)" \\\n  --b  # why\n\nmake docs\n```\nor `python -m x.y --c`, not `x`'
    assert commands_of(text) == [['python', 'main.py', '--a=(1, 2)', '--b'], ['make', 'docs'],
                                 ['python', '-m', 'x.y', '--c']]  # fmt: skip
    assert {command[0] for command in COMMANDS} <= {'python', 'make', 'pip', 'dask', '.'}


def test_main_accepts_the_commands():
    commands = [command[2:] for command in COMMANDS if command[:2] == ['python', 'main.py']]
    commands = [command for command in commands if '--config=configs/NAME.py' not in ' '.join(command)]
    assert len(commands) > 20
    mistake = ['--config=configs/pairs.py', '--config.data.corse=x.nc']
    done = subprocess.run(
        [sys.executable, '-c', PARSER], input=json.dumps([*commands, mistake]), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    *errors, expected = json.loads(done.stdout)
    assert [(command, error) for command, error in zip(commands, errors, strict=True) if error] == []
    assert "has no key 'data.corse'" in expected


@pytest.mark.parametrize('module', MODULES)
def test_experiments_have_the_flags(module):
    path = ROOT / module.replace('.', '/')
    path = path / '__main__.py' if path.is_dir() else path.with_suffix('.py')
    names = re.findall(r"'(?:--)?([a-z_-]+)'", path.read_text() + (ROOT / 'experiments/many_runs.py').read_text())
    flags = {
        argument.partition('=')[0].removeprefix('--')
        for command in COMMANDS if command[1:3] == ['-m', module]
        for argument in command if argument.startswith('--') and not argument.startswith('--config.')
    }  # fmt: skip
    assert flags - set(names) == set()


def test_targets_of_make_exist():
    targets = {name for command in COMMANDS if command[0] == 'make' for name in command[1:]}
    assert targets <= set(re.findall(r'^(\w+):', (ROOT / 'Makefile').read_text(), re.MULTILINE))
