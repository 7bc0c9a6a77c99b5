"""DPDM: patch-wise probabilistic downscaling of any region (docs/systems/dpdm.md).

    python main.py --config=configs/diffusion_dpdm.py           under 15 minutes on 2 CPU cores, a simulated climate
    python main.py --config=configs/diffusion_dpdm.py:smoke     under a minute: a test of the installation
    python main.py --config=configs/diffusion_dpdm.py:paper     published size and constants, for accelerators

Monthly fields over mountains, refined tenfold from their block means. For real data set data.path, data.relief and the
other keys of `data` (docs/systems/dpdm_real_data.md).
"""

from ml_collections import ConfigDict, FieldReference
from ml_collections.config_dict import placeholder

INFINITY = float('inf')


def get_config(variant: str = '') -> ConfigDict:
    """The config of a variant: '' (default), 'smoke' or 'paper'."""
    if variant not in ('', 'smoke', 'paper'):
        raise ValueError(f"unknown variant ':{variant}' of diffusion_dpdm: valid are :smoke and :paper")
    config = ConfigDict()
    config.system = 'dpdm'
    config.seed = 0
    config.generator = (
        'diffusion'  # or 'distilled' (a few evaluations of the network per member), or 'one_pass' (a single one)
    )
    config.rivals = ('edsr', 'edsr_gan')  # baselines to train as well; (): none

    config.data = ConfigDict()
    config.data.kind = 'block_means'  # a record: fine fields, whose area-weighted block means are the coarse ones
    config.data.path = ''  # a file, glob, Zarr store or URL; empty: simulated
    config.data.simulate = ConfigDict({'world': 'mountains', 'rows': 160, 'columns': 240, 'months': 240, 'seed': 0})
    config.data.variables = ('t2m', 'tp')
    config.data.units = ()  # to which each variable is converted: ('K', 'mm day-1'); (): the units of the file
    config.data.level = 0.0  # vertical level, in the file's own units, where it has several; 0: it has only one
    config.data.train = (('1981-01', '1996-12'),)
    config.data.validation = (('1997-01', '1998-12'),)
    config.data.test = (('1999-01', '2000-12'),)
    config.data.factor = 10  # cells per side of a block
    config.data.mean = 'physical'  # average physical values; 'network': transformed values
    config.data.transform = ('standard', 'log1p')  # of each variable, or one for all: 'standard', 'log1p', 'log'
    config.data.grid_point = (
        ''  # 'standard' or 'range': normalise each grid point by its own climate; not usable in other regions
    )
    config.data.interpolation = ('cubic', 'linear')  # of the coarse field: for each variable, or one for all
    config.data.context = ('topography', 'land', 'season')  # also 'hour', 'latitude', static variables of the data
    config.data.relief = ''  # file with a topography, where the data have none
    config.data.anomaly = True  # learn fine - interpolated; False: the full field
    config.data.bounds = ((-INFINITY, INFINITY), (0.0, INFINITY))  # physical (lower, upper) of each variable
    config.data.patch = 80  # fine cells per side
    config.data.patches_per_record = 6  # cut from each record in every epoch

    config.model = ConfigDict()
    config.model.network = 'unet'  # or 'dpdm', the published network
    config.model.dtype = 'float32'
    config.model.unet = ConfigDict(
        {'widths': (64, 96), 'bottleneck': 128, 'blocks': 2, 'embedding': 64, 'stem': 4, 'tail': 128, 'time': 'blocks'}
    )
    config.model.unet.turns = 100.0  # of the fastest sinusoid over all noise levels: a tenth of diffusion.steps
    config.model.dpdm = ConfigDict({'inner': 64, 'multipliers': (1, 1, 2, 4), 'dropout': 0.1})

    config.diffusion = ConfigDict()
    config.diffusion.steps = 1000  # discrete noise levels
    config.diffusion.betas = 'cosine'  # or 'linear'
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

    config.edsr = ConfigDict({'factors': (2, 5), 'width': 32, 'blocks': 6})
    config.edsr.update({'discriminator': (16, 32, 64, 64), 'dense': 128, 'adversarial': 1e-3})

    config.training = ConfigDict()
    config.training.batch_size = 16
    config.training.accumulate = 1
    config.training.ema_decay = 0.995
    config.training.log_every = 50
    config.training.validate_every = 200
    config.training.validation_batches = 8
    config.training.keep = 2
    config.training.phases = ('main',)
    common = {'learning_rate': 1e-3, 'warmup': 50, 'clip': 1.0, 'optimizer': 'adamw', 'beta2': 0.99}
    common['weight_decay'] = 1e-4
    muon = {'optimizer': 'muon', 'learning_rate': 3e-3}
    config.training.main = ConfigDict({**common, **muon, 'steps': 400})  # of the regression and of the diffusion model
    config.training.edsr = ConfigDict({**common, 'steps': 300})
    config.training.edsr_gan = ConfigDict({**common, 'steps': 100, 'learning_rate': 2e-4, 'schedule': 'constant'})

    config.sampling = ConfigDict()
    config.sampling.sampler = 'dpm_solver'  # or 'dpm_solver_sde', 'heun', 'ddim', 'ddpm'
    config.sampling.steps = 10  # evaluations of the network
    config.sampling.spacing = 'half_log_snr'  # of the noise levels: or 't', 't_open', 'karras'
    config.sampling.eta = 0.0  # of ddim: fraction of the noise that is drawn afresh in each step, 0 to 1
    config.sampling.temperature = placeholder(float)  # factor of the noise; None: fitted after training
    config.sampling.correlation_hours = 0.0  # e-folding time of the noise; 0: independent months
    config.sampling.tile = 480  # fine cells a side, at most
    config.sampling.overlap = 80  # fine cells that neighbouring tiles share, at least
    config.sampling.members = 11  # per work unit, at most
    config.sampling.conserve = False  # True: adjust fields so that their block means are the coarse field

    config.evaluation = ConfigDict()
    config.evaluation.measures = (
        'examples', 'pointwise', 'anomaly_correlation', 'similarity', 'scales', 'spectra', 'semivariogram',
        'increments', 'features', 'scattering', 'distribution', 'places', 'extremes', 'hot_dry', 'lag1', 'closure',
        'bounds', 'normality', 'seams',
    )  # fmt: skip
    config.evaluation.members = 33
    config.evaluation.subsets = (1, 5, 10, 33, 100)  # numbers of members whose mean is scored too; (): only all members
    config.evaluation.records = FieldReference(8)  # of the test split, evenly spread; None: all
    config.evaluation.neighbours = False  # whether records are chosen in consecutive pairs, which lag-1 scores need
    config.evaluation.baselines = ('linear', 'bicubic', 'quantile_mapping')
    config.evaluation.window = 40  # cells per side of the windows for spectra of the scales
    config.evaluation.regimes = ()  # edges of classes of each coarse target; (): terciles of training
    config.evaluation.zones = ()  # (name, threshold) of each coarse target, scored separately; (): none
    config.evaluation.places = ''  # CSV file with name, latitude, longitude; empty: 150 large cities
    config.evaluation.calibration_records = 4  # of validation, to fit the noise temperature on; 0: temperature 1

    if variant == 'smoke':
        config.data.simulate.update({'rows': 60, 'columns': 80, 'months': 36})
        config.data.train = (('1981-01', '1982-06'),)
        config.data.validation = (('1982-07', '1982-12'),)
        config.data.test = (('1983-01', '1983-12'),)
        config.data.patch = 40
        config.model.unet.update({'widths': (16,), 'bottleneck': 16, 'blocks': 1, 'tail': 16})
        config.edsr.update({'width': 8, 'blocks': 1, 'discriminator': (8, 8), 'dense': 8})
        config.training.update({'log_every': 5, 'validate_every': 10, 'validation_batches': 1, 'batch_size': 8})
        for phase in (config.training.main, config.training.edsr, config.training.edsr_gan):
            phase.update({'steps': 10, 'warmup': 5})
        config.sampling.update({'steps': 4, 'members': 2, 'overlap': 40})
        config.evaluation.update({'members': 4, 'records': 3, 'calibration_records': 1})
    if variant == 'paper':
        config.data.simulate.update({'rows': 400, 'columns': 700})
        config.data.variables, config.data.transform, config.data.interpolation = ('t2m',), ('standard',), ('cubic',)
        config.data.bounds = ((-INFINITY, INFINITY),)
        config.data.context = ('topography',)  # and the mask of valid cells: land where the sea is missing
        config.data.anomaly = False
        config.data.grid_point = 'range'
        config.data.patch = 128
        config.model.network = 'dpdm'
        config.edsr.update({'width': 256, 'blocks': 32, 'discriminator': (64, 64, 128, 128, 256, 256), 'dense': 1024})
        config.diffusion.update({'prediction': 'eps', 'weighting': 'eps', 'first_guess': False})
        config.training.update({'batch_size': 128, 'ema_decay': 0.9999, 'validate_every': 2000, 'log_every': 100})
        published = {'optimizer': 'adamw', 'beta2': 0.999, 'weight_decay': 0.0, 'clip': 0.0}
        published |= {'learning_rate': 1e-4, 'warmup': 0}
        for phase in (config.training.main, config.training.edsr):
            phase.update({**published, 'steps': 100_000, 'final_rate': 1e-6})  # one cycle of the published restarts
        config.training.edsr_gan.update({**published, 'steps': 20_000})
        config.sampling.update(
            {'sampler': 'ddpm', 'spacing': 'half_log_snr', 'steps': 1000, 'tile': 128, 'overlap': 32}
        )
        config.evaluation.update({'members': 100, 'records': None, 'calibration_records': 0})
    return config
