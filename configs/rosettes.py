"""3-D properties of ice crystals from their silhouettes (docs/systems/rosettes.md; Ko et al., arXiv 2507.19759).

    python main.py --config=configs/rosettes.py           minutes on 2 CPU cores: bullet rosettes in polar coordinates
    python main.py --config=configs/rosettes.py:cnn       the published CNN on the same images
    python main.py --config=configs/rosettes.py:resnet    a small residual network
    python main.py --config=configs/rosettes.py:smoke     under a minute: a test of the installation
    python main.py --config=configs/rosettes.py:paper     70,000 images and a ResNet-18, for accelerators

Two views: --config.data.views=2 --config.data.angle=90 (or 120).
"""

from ml_collections import ConfigDict


def get_config(variant: str = '') -> ConfigDict:
    """The config of a variant: '' (default), 'cnn', 'resnet', 'smoke' or 'paper'."""
    if variant not in ('', 'cnn', 'resnet', 'smoke', 'paper'):
        raise ValueError(f"unknown variant ':{variant}' of rosettes: valid are :cnn, :resnet, :smoke and :paper")
    config = ConfigDict()
    config.system = 'rosettes'
    config.seed = 0

    config.data = ConfigDict()
    config.data.kind = 'images'  # a record: silhouettes of a crystal with their labels
    config.data.world = 'rosettes'
    config.data.simulate = ConfigDict({'crystals': 400, 'orientations': 8})  # crystals for each number of arms
    config.data.arms = (4, 5, 6, 7, 8, 9, 10)
    config.data.size = 48  # pixels per side
    config.data.views = 1
    config.data.angle = 90.0  # between two views, in degrees
    config.data.validation_share = 0.05
    config.data.test_share = 0.1
    config.data.split_by = 'group'  # all images of a crystal in one split

    config.model = ConfigDict()
    config.model.trunk = 'polar'
    config.model.widths = (16, 32, 64)
    config.model.dense = (128, 64)
    config.model.blocks = 1
    config.model.stem = 3
    config.model.pool = False

    config.training = ConfigDict()
    config.training.batch_size = 64
    config.training.accumulate = 1
    config.training.class_weight = 1.0
    config.training.ema_decay = 0.0  # averaged parameters would not match the running batch statistics
    config.training.log_every = 50
    config.training.validate_every = 200
    config.training.validation_batches = 8
    config.training.keep = 2
    config.training.phases = ('main',)
    main = {'optimizer': 'muon', 'steps': 3000, 'learning_rate': 3e-3, 'warmup': 100, 'weight_decay': 1e-3}
    config.training.main = ConfigDict(main)

    config.evaluation = ConfigDict()
    config.evaluation.trees = 200  # of the random forest

    if variant == 'cnn':
        config.model.trunk = 'cnn'
        config.training.ema_decay = 0.999
        config.training.main.update({'optimizer': 'adamw', 'steps': 1500, 'learning_rate': 2e-3})
    if variant == 'resnet':
        config.model.update({'trunk': 'resnet', 'blocks': 1})
        config.training.main.update({'optimizer': 'adamw', 'steps': 1500})
    if variant == 'smoke':
        config.data.simulate = ConfigDict({'crystals': 6, 'orientations': 4})
        config.data.update({'arms': (4, 6, 10), 'size': 16, 'validation_share': 0.2, 'test_share': 0.4})
        config.model.update({'widths': (8, 8), 'dense': (16,)})
        config.training.update({'log_every': 5, 'validate_every': 10, 'validation_batches': 1, 'batch_size': 16})
        config.training.main.update({'steps': 20, 'warmup': 5})
        config.evaluation.trees = 10
    if variant == 'paper':
        config.model.update({'trunk': 'resnet', 'widths': (64, 128, 256, 512), 'blocks': 2, 'stem': 7, 'pool': True})
        config.data.simulate = ConfigDict({'crystals': 200, 'orientations': 50})
        config.data.update({'size': 224, 'validation_share': 0.1, 'test_share': 0.2})
        config.training.update({'batch_size': 128, 'validate_every': 1000, 'validation_batches': 64})
        config.training.main.update({'optimizer': 'adamw', 'steps': 40_000, 'learning_rate': 1e-3, 'warmup': 500})
    return config
