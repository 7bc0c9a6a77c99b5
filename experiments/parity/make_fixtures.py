"""Writes what PyTorch and diffusers compute for the cases of this folder to networks.npz and samplers.npz.

    python -m experiments.parity.make_fixtures      under a minute; needs torch and diffusers

Run it again after a case has changed. tests/parity compares the stored arrays with what JAX computes, without PyTorch.
"""

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from torch import nn

from experiments.benchmarks.pytorch.atmodist import renamed
from experiments.benchmarks.pytorch.network import UNet
from experiments.benchmarks.pytorch.siamese import Encoder, Siamese, Tail
from experiments.benchmarks.pytorch.srgan_network import Discriminator, Generator, for_pixel_shuffle
from experiments.command_line import run_program
from experiments.parity.networks import CASES, DISCRIMINATOR, DPDM, ENCODER, GENERATOR, SEA_ICE, TAIL, drawn
from experiments.parity.samplers import SAMPLERS, SCHEDULE, STEPS, VARIANCES, gain, normals
from experiments.parity.torch_dpdm import DpdmUNet

FOLDER = Path(__file__).parents[2] / 'tests' / 'parity'


def networks() -> dict[str, nn.Module]:
    """The counterparts of CASES."""
    return {
        'atmodist': Siamese(Encoder(2, *ENCODER), Tail(2 * ENCODER[0][-1], 2, TAIL[1], TAIL[0], 0.99)),
        'generator': Generator(2, **GENERATOR),
        'discriminator': Discriminator(2, 32, *DISCRIMINATOR),
        'dpdm': DpdmUNet(1, 3, **DPDM),
        'sea_ice': UNet(5, **SEA_ICE),
    }


@torch.no_grad()
def output(name: str, network: nn.Module) -> np.ndarray:
    """Output of the PyTorch network for the weights and inputs of a case, maps as [B, H, W, C]."""
    variables, inputs = drawn(name)
    if name == 'generator':
        variables = for_pixel_shuffle(variables, GENERATOR['factors'])
    state = {key: value for key, value in network.state_dict().items() if 'num_batches' in key}
    network.load_state_dict({**state, **renamed(variables)})
    given = [torch.tensor(x).permute(0, 3, 1, 2) if x.ndim == 4 else torch.tensor(x) for x in inputs]
    found = network.eval()(*given)
    return (found.permute(0, 2, 3, 1) if found.ndim == 4 else found).numpy()


def scheduler(name: str):
    """A scheduler of diffusers at our noise levels, in float64, which its own tables are not."""
    common = {'trained_betas': np.full(1000, 0.01)}  # replaced below
    if name == 'ddim':
        made = diffusers.DDIMScheduler(**common, clip_sample=False)
    elif name == 'ddpm':
        made = diffusers.DDPMScheduler(**common, clip_sample=False)
    elif name == 'heun':
        made = diffusers.HeunDiscreteScheduler(**common, timestep_spacing='leading')
    else:
        algorithm = 'dpmsolver++' if name == 'dpm_solver' else 'sde-dpmsolver++'
        options = {'algorithm_type': algorithm, 'timestep_spacing': 'leading', 'lower_order_final': False}
        made = diffusers.DPMSolverMultistepScheduler(**common, **options)
    made.set_timesteps(STEPS)
    made.alphas_cumprod = torch.tensor(SCHEDULE.alpha_bars)
    return made


def sampled(name: str, angles: np.ndarray) -> np.ndarray:
    """A sample by diffusers, with noise as `normals` gives it."""
    made, noise = scheduler(name), torch.tensor(normals())[:, None]  # DDPM expects an axis of channels
    tangents = torch.tensor(np.append(np.tan(angles), 0.0))
    z, fresh = noise[0], iter(noise[1:])
    if name == 'heun':  # works on z/alpha
        made.sigmas = torch.cat([tangents[:1], tangents[1:-1].repeat_interleave(2), tangents[-1:]])
        z = z / np.cos(angles[0])
    elif name.startswith('dpm'):
        made.sigmas = tangents
    visited = np.append(angles[0], np.repeat(angles[1:], 2)) if name == 'heun' else angles
    assert len(made.timesteps) == len(visited)
    for i, (step, angle) in enumerate(zip(made.timesteps, visited, strict=True)):
        scaled = z * np.cos(angle) if name == 'heun' else z
        eps = (scaled - np.cos(angle) * torch.tensor(gain(angle)) * scaled) / np.sin(angle)
        last = i == len(visited) - 1
        if name == 'ddpm':
            with injected(None if last else next(fresh)):
                z = made.step(eps, step, z).prev_sample
        elif name == 'dpm_solver_sde':
            z = made.step(eps, step, z, variance_noise=torch.zeros_like(z) if last else next(fresh)).prev_sample
        else:
            z = made.step(eps, step, z).prev_sample
    return z[0].numpy()


class injected:
    """Has DDPM draw the given noise."""

    def __init__(self, noise: torch.Tensor | None):
        self.module, self.noise = diffusers.schedulers.scheduling_ddpm, noise

    def __enter__(self) -> None:
        self.before, self.module.randn_tensor = self.module.randn_tensor, lambda *_, **__: self.noise

    def __exit__(self, *_) -> None:
        self.module.randn_tensor = self.before


def samples() -> dict[str, np.ndarray]:
    """The angles at which diffusers visits the trained levels, and a sample of each sampler."""
    steps = scheduler('ddim').timesteps.numpy()
    angles = SCHEDULE.angles[steps]
    assert angles.shape == (STEPS,)
    assert len(VARIANCES) == 5
    return {'angles': angles, **{name: sampled(name, angles) for name in SAMPLERS}}


def main() -> None:
    torch.manual_seed(0)
    made = networks()
    outputs: dict[str, Any] = {name: output(name, made[name]) for name in CASES}
    arrays: dict[str, Any] = samples()
    np.savez_compressed(FOLDER / 'networks.npz', **outputs)
    np.savez_compressed(FOLDER / 'samplers.npz', **arrays)


if __name__ == '__main__':
    run_program(main)
