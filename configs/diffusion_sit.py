"""Sea-ice thickness super-resolution by continuous-time diffusion (docs/systems/sea_ice.md).

    python main.py --config=configs/diffusion_sit.py           under 10 minutes on 2 CPU cores, idealised data
    python main.py --config=configs/diffusion_sit.py:smoke     under a minute: a test of the installation
    python main.py --config=configs/diffusion_sit.py:paper     published size and constants, for accelerators

Expected scores: docs/systems/sea_ice_results.md. For real data set data.path and the other keys of `data`
(docs/get_started/own_data.md).
"""

from ml_collections import ConfigDict, FieldReference
from ml_collections.config_dict import placeholder

INFINITY = float('inf')


def get_config(variant: str = '') -> ConfigDict:
    """The config of a variant: '' (default), 'smoke' or 'paper'."""
    if variant not in ('', 'smoke', 'paper'):
        raise ValueError(f"unknown variant ':{variant}' of diffusion_sit: valid are :smoke and :paper")
    config = ConfigDict()
    config.system = 'diffusion'
    config.seed = 0
    config.generator = (
        'diffusion'  # or 'distilled' (a few evaluations of the network per member), or 'one_pass' (a single one)
    )

    config.data = ConfigDict()
    config.data.kind = 'refinement'  # a record: a fine field and its coarse inputs
    config.data.path = ''  # a file, glob, Zarr store or URL; empty: idealised sea ice is simulated
    config.data.simulate = ConfigDict({'size': 256, 'states': 529})  # size: cells of 4 km per side; states: half days
    config.data.target = 'sit'
    config.data.inputs = ('sit', 'sic', 'divergence', 'shear')  # must include the target
    config.data.kernel_km = (120.0, 24.0, 120.0, 120.0)  # box kernel of each input
    config.data.spacing_km = (25.0, 12.0, 60.0, 60.0)  # grid on which it is observed; (): half the kernel; 0: fine grid
    config.data.noise = ()  # standard deviation of the observation error of each input, in its units; (): none
    config.data.mask = ''  # variable that is nonzero where the field exists; empty: wherever it has values
    # pairs of first and last date, both included; blocks in every season, with the days between blocks dropped
    config.data.train = (
        ('2020-01-01', '2020-02-19'), ('2020-02-29', '2020-03-20'), ('2020-03-30', '2020-05-06'),
        ('2020-05-16', '2020-07-10'), ('2020-07-20', '2020-08-31'),
    )  # fmt: skip
    config.data.validation = (('2020-03-23', '2020-03-27'), ('2020-07-13', '2020-07-17'), ('2020-09-03', '2020-09-08'))
    config.data.test = (('2020-02-22', '2020-02-26'), ('2020-05-09', '2020-05-13'), ('2020-09-11', '2020-09-20'))
    config.data.anomaly = True  # learn fine - coarse; False: the full field, which induces large-scale biases
    config.data.bounds = ((0.0, INFINITY),)  # physical (lower, upper) of the target, to which fields are clipped
    config.data.patch = 64  # cells per side
    config.data.patches_per_record = 8  # cut from each record in every epoch
    config.data.flips = True  # valid because all variables are scalars

    config.model = ConfigDict()
    config.model.widths = (64, 96)
    config.model.bottleneck = 128
    config.model.blocks = 2
    config.model.embedding = 64
    config.model.stem = 4
    config.model.tail = 128
    config.model.time = 'blocks'
    config.model.dtype = 'float32'  # of the computation: 'bfloat16' on accelerators; parameters stay float32

    config.diffusion = ConfigDict()
    config.diffusion.signal_rates = (0.9995, 0.01)  # at t = 0 and t = 1
    config.diffusion.level = 'angle'  # shown to the network: gamma/(pi/2); 'variance': sin^2(gamma)
    config.diffusion.prediction = 'v'  # or 'eps', 'x0'
    config.diffusion.weighting = 'v'  # the quantity whose squared error is minimised
    config.diffusion.first_guess = True  # generate the residual of the regression; False: the target itself
    config.diffusion.cross_fitting = 1  # parts of the training split; one regression per part is trained on the others
    config.diffusion.regression_steps_share = 1.0  # of the steps of each phase

    config.one_pass = ConfigDict()
    config.one_pass.members = 2  # of each example in training
    config.one_pass.steps_share = 0.5  # of the steps of each phase: training takes as long as that of the diffusion
    config.one_pass.noise = 'field'  # one value per cell; or 'vector', the same in the whole domain; or 'both'

    config.distillation = ConfigDict()
    config.distillation.evaluations = 4  # of the network per member
    config.distillation.teacher_evaluations = 16  # per member, of the diffusion that is distilled
    config.distillation.steps_share = 0.5  # of the steps of each phase

    config.training = ConfigDict()
    config.training.batch_size = 8
    config.training.accumulate = 1  # microbatches per step
    config.training.ema_decay = 0.995
    config.training.log_every = 50
    config.training.validate_every = 400
    config.training.validation_batches = 16
    config.training.keep = 2
    config.training.phases = ('main',)
    config.training.main = ConfigDict()
    config.training.main.steps = 800  # for the regression and for the diffusion
    config.training.main.learning_rate = 3e-3
    config.training.main.warmup = 50
    config.training.main.clip = 1.0
    config.training.main.weight_decay = 1e-4
    config.training.main.optimizer = 'muon'
    config.training.main.beta2 = 0.99  # of parameters other than kernels

    config.sampling = ConfigDict()
    config.sampling.sampler = 'dpm_solver_sde'  # or 'dpm_solver', 'heun', 'ddim' (the published one), 'ddpm'
    config.sampling.steps = 10  # evaluations of the network
    config.sampling.spacing = 'half_log_snr'  # of the noise levels: or 't', 't_open', 'karras'
    config.sampling.eta = 0.0  # of ddim: fraction of the noise that is drawn afresh in each step, 0 to 1
    config.sampling.temperature = placeholder(float)  # factor of the noise; None: fitted after training
    config.sampling.correlation_hours = 0.0  # e-folding time of the noise, against flicker; 0: independent days
    config.sampling.tile = 512  # cells a side, at most; a multiple of the network's stride
    config.sampling.overlap = 32  # cells that neighbouring tiles share, at least
    config.sampling.members = 8  # per work unit, at most

    config.evaluation = ConfigDict()
    config.evaluation.measures = (
        'examples', 'pointwise', 'anomaly_correlation', 'similarity', 'scales', 'spectra', 'semivariogram',
        'increments', 'features', 'scattering', 'distribution', 'places', 'extremes', 'hot_dry', 'lag1', 'closure',
        'bounds', 'normality', 'seams',
    )  # fmt: skip
    config.evaluation.members = 16
    config.evaluation.subsets = ()  # numbers of members whose mean is scored too; (): only all members
    config.evaluation.records = FieldReference(6)  # of the test split, evenly spread; None: all
    config.evaluation.neighbours = True  # whether records are chosen in consecutive pairs, which lag-1 scores need
    config.evaluation.baselines = ('coarse',)
    config.evaluation.window = 40  # cells per side of the windows for spectra of the scales
    config.evaluation.regimes = ((0.15, 1.0, 2.0),)  # edges of classes of each coarse target; (): terciles of training
    config.evaluation.zones = (('ice', 0.15),)  # (name, threshold) of each coarse target, scored separately; (): none
    config.evaluation.places = ''  # CSV file with name, latitude, longitude; empty: 150 large cities
    config.evaluation.calibration_records = 6  # of validation, to fit the noise temperature on; 0: temperature 1

    if variant == 'smoke':
        config.data.simulate = ConfigDict({'size': 96, 'states': 40})
        config.data.train = (('2020-01-01', '2020-01-12'),)
        config.data.validation = (('2020-01-14', '2020-01-16'),)
        config.data.test = (('2020-01-18', '2020-01-20'),)
        config.data.patch = 32
        config.model.update({'widths': (16,), 'bottleneck': 16, 'blocks': 1, 'tail': 16})
        config.training.update({'log_every': 5, 'validate_every': 10, 'validation_batches': 1, 'batch_size': 8})
        config.training.main.update({'steps': 10, 'warmup': 5})
        config.sampling.update({'steps': 4, 'members': 2})
        config.evaluation.update({'members': 4, 'records': 2, 'calibration_records': 1, 'window': 32})
    if variant == 'paper':
        config.data.spacing_km = (0.0, 0.0, 0.0, 0.0)  # filtered inputs stay on the fine grid: nearly invertible
        config.model.update({'widths': (32, 64, 96, 128), 'bottleneck': 160, 'stem': 1, 'tail': 0, 'time': 'input'})
        config.diffusion.signal_rates = (0.95, 0.02)
        config.diffusion.update({'prediction': 'eps', 'weighting': 'eps', 'first_guess': False, 'level': 'variance'})
        config.training.update({'batch_size': 16, 'ema_decay': 0.999, 'validate_every': 1000, 'log_every': 100})
        published = {'optimizer': 'adamw', 'learning_rate': 1e-4, 'beta2': 0.999}
        config.training.main.update({**published, 'steps': 200_000, 'warmup': 1000})
        config.sampling.update({'sampler': 'ddim', 'spacing': 't_open', 'steps': 50, 'members': 10})
        config.evaluation.update({'members': 30, 'records': None})
    return config
