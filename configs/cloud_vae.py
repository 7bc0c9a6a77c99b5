"""A latent metric for simulations of clouds (docs/systems/cloud_vae.md; Ko et al., arXiv 2507.19759).

python main.py --config=configs/cloud_vae.py          minutes on 2 CPU cores, an ensemble of idealised cirrus
python main.py --config=configs/cloud_vae.py:smoke    under a minute: a test of the installation
python main.py --config=configs/cloud_vae.py:paper    longer training of wider networks, for accelerators
"""

from ml_collections import ConfigDict


def get_config(variant: str = '') -> ConfigDict:
    """The config of a variant: '' (default), 'smoke' or 'paper'."""
    if variant not in ('', 'smoke', 'paper'):
        raise ValueError(f"unknown variant ':{variant}' of cloud_vae: valid are :smoke and :paper")
    config = ConfigDict()
    config.system = 'cloud_vae'
    config.seed = 0

    config.data = ConfigDict()
    config.data.kind = 'images'  # a record: ice mass, number and density in a slice of a cloud
    config.data.world = 'cirrus'
    config.data.path = ''  # a simulated liquid cloud, `lwc` and `reff` (z, y, x); empty: cirrus are simulated
    config.data.simulate = ConfigDict({'members': 100, 'lagrangian': 20, 'times': 8})
    config.data.validation_share = 0.1
    config.data.test_share = 0.3
    config.data.split_by = 'group'  # all images of a member in one split

    config.model = ConfigDict()
    config.model.widths = (16, 32, 64)
    config.model.blocks = 0
    config.model.latents = (2, 16)  # one autoencoder each
    config.model.translations = 8  # along x; codes are averaged over them, so that the places of eddies do not matter

    config.training = ConfigDict()
    config.training.batch_size = 16
    config.training.accumulate = 1
    config.training.kl_weight = 1.0
    config.training.kl_warmup = 100
    config.training.ema_decay = 0.99
    config.training.log_every = 50
    config.training.validate_every = 100
    config.training.validation_batches = 8
    config.training.keep = 2
    config.training.phases = ('main',)
    config.training.main = ConfigDict({'steps': 500, 'learning_rate': 2e-3, 'warmup': 50})

    config.evaluation = ConfigDict()
    config.evaluation.permutations = 1000

    if variant == 'smoke':
        config.data.simulate = ConfigDict({'members': 7, 'lagrangian': 4, 'times': 3})
        config.data.update({'validation_share': 0.2, 'test_share': 0.5})
        config.model.update({'widths': (4, 8), 'latents': (2,), 'translations': 2})
        config.training.update({'log_every': 5, 'validate_every': 10, 'validation_batches': 1, 'batch_size': 8})
        config.training.update({'kl_warmup': 0})
        config.training.main.update({'steps': 10, 'warmup': 5})
        config.evaluation.permutations = 20
    if variant == 'paper':
        config.model.update({'widths': (32, 64, 128)})
        config.training.update({'batch_size': 128, 'kl_warmup': 2000, 'validate_every': 1000, 'ema_decay': 0.999})
        config.training.main.update({'steps': 20_000, 'learning_rate': 1e-3, 'warmup': 500})
    return config
