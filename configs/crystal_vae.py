"""A latent space of ice crystals (docs/systems/crystal_vae.md; Ko et al., arXiv 2507.19759).

    python main.py --config=configs/crystal_vae.py           minutes on 2 CPU cores: spheres against bullet rosettes
    python main.py --config=configs/crystal_vae.py:habits    13 CPU minutes: five simulated habits, a residual network
    python main.py --config=configs/crystal_vae.py:smoke     under a minute: a test of the installation
    python main.py --config=configs/crystal_vae.py:paper     five habits at the published size, for accelerators

For images of your own set data.path and, if they are few, evaluation.splits=('train','validation','test').
"""

from ml_collections import ConfigDict

HABITS = ('sphere', 'bullet_rosette', 'column', 'plate', 'aggregate')


def get_config(variant: str = '') -> ConfigDict:
    """The config of a variant: '' (default), 'habits', 'smoke' or 'paper'."""
    if variant not in ('', 'habits', 'smoke', 'paper'):
        raise ValueError(f"unknown variant ':{variant}' of crystal_vae: valid are :habits, :smoke and :paper")
    config = ConfigDict()
    config.system = 'crystal_vae'
    config.seed = 0

    config.data = ConfigDict()
    config.data.kind = 'images'  # a record: the silhouette of a particle and its class
    config.data.world = 'particles'
    config.data.path = ''  # images and labels: PNG files in folders by class, an .npz file, Zarr; empty: simulated
    config.data.simulate = ConfigDict({'crystals': 200, 'orientations': 5})  # crystals of each habit
    config.data.habits = ('sphere', 'bullet_rosette')
    config.data.size = 28  # pixels per side
    config.data.validation_share = 0.1
    config.data.test_share = 0.2
    config.data.split_by = 'group'  # all images of a crystal in one split

    config.model = ConfigDict()
    config.model.widths = (16, 32)
    config.model.blocks = 0
    config.model.latents = (2,)

    config.training = ConfigDict()
    config.training.batch_size = 64
    config.training.accumulate = 1
    config.training.kl_weight = 1.0
    config.training.kl_warmup = 100
    config.training.ema_decay = 0.99
    config.training.log_every = 50
    config.training.validate_every = 200
    config.training.validation_batches = 4
    config.training.keep = 2
    config.training.phases = ('main',)
    config.training.main = ConfigDict({'steps': 800, 'learning_rate': 2e-3, 'warmup': 50})

    config.evaluation = ConfigDict()
    config.evaluation.images = 2000  # of each split
    config.evaluation.splits = ('test',)

    if variant == 'habits':
        config.data.update({'habits': HABITS, 'size': 48})
        config.model.update({'widths': (16, 32, 64), 'blocks': 1, 'latents': (16,)})
    if variant == 'smoke':
        config.data.simulate = ConfigDict({'crystals': 10, 'orientations': 2})
        config.data.update({'size': 12, 'test_share': 0.5})
        config.model.update({'widths': (4, 8)})
        config.training.update({'log_every': 5, 'validate_every': 10, 'validation_batches': 1, 'batch_size': 8})
        config.training.update({'kl_warmup': 0})
        config.training.main.update({'steps': 10, 'warmup': 5})
    if variant == 'paper':
        config.data.simulate = ConfigDict({'crystals': 2000, 'orientations': 10})
        config.data.update({'habits': HABITS, 'size': 224})
        config.model.update({'widths': (32, 64, 128, 256, 512), 'blocks': 2, 'latents': (128,)})
        config.training.update({'batch_size': 128, 'kl_warmup': 2000, 'validate_every': 1000, 'ema_decay': 0.999})
        config.training.main.update({'steps': 40_000, 'learning_rate': 5e-4, 'warmup': 500})
    return config
