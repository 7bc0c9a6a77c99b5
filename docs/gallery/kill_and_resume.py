"""
Kill and resume
===============

Jobs end before their time: a queue has limits, a machine restarts, somebody presses Ctrl-C. The same command then
continues from the last checkpoint. This page kills a training and shows that nothing is lost.
"""

# %%
# Killed
# ------
#
# `main.py` trains a small autoencoder, with a checkpoint every 40 steps. As soon as the first one is complete, the
# process is killed in the hardest way: SIGKILL leaves it no time to write anything.

import json
import shutil
import signal
import subprocess
import sys
import time

import matplotlib.pyplot as plt
from shared_runs import ROOT, RUNS, train

settings = {
    'data.simulate.crystals': 40,
    'training.main.steps': 120,
    'training.validate_every': 40,
    'training.log_every': 5,
}
workdir = RUNS / 'killed'
shutil.rmtree(workdir, ignore_errors=True)
command = [sys.executable, 'main.py', '--config=configs/crystal_vae.py:smoke', f'--workdir={workdir}']
command += [f'--config.{key}={value}' for key, value in settings.items()]

process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
while not (workdir / 'checkpoints' / 'vae_2' / '40').exists() and process.poll() is None:
    time.sleep(0.01)
process.send_signal(signal.SIGKILL)
print('ended by', signal.Signals(-process.wait()).name)


def losses(folder):
    """Step and training loss of every logged step."""
    rows = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    return [(row['step'], row['train/loss']) for row in rows if 'train/loss' in row]


# %%
# Resumed
# -------
#
# The same command again. The work directory knows where it stood: steps that had no checkpoint are repeated, the others
# are not. For comparison, a second work directory is trained without a break.

print('exit status', subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL).returncode)
unbroken = train('crystal_vae:smoke', settings, 'unbroken')

after = losses(workdir)
print('same losses at every step:', after == losses(unbroken))
print('same scores:', (workdir / 'scores.json').read_bytes() == (unbroken / 'scores.json').read_bytes())

# %%
# Look
# ----

figure, axes = plt.subplots(figsize=(7, 3.6), layout='constrained')
axes.plot(*zip(*losses(unbroken), strict=True), color='0.75', linewidth=5, label='without a break')
axes.plot(*zip(*after, strict=True), color='#0072b2', label='killed and resumed')
axes.axvline(40, color='#d55e00', linestyle=':', label='checkpoint at which it was killed')
axes.set(xlabel='step', ylabel='training loss')
axes.legend(frameon=False)

# %%
# The two curves coincide, before and after the kill. Random numbers are keyed by seed, step and index in the
# batch, and the order of the batches is a function of seed and epoch: there is no state that a kill could lose.
#
# Downscaling resumes in the same way, and a second process may help with a store that the first is filling. Read on:
# :doc:`/concepts/randomness`, :doc:`/guides/devices`.
