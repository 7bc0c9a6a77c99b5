"""The measures by their names in `evaluation.measures`; see `evaluation.protocol` for how to add one."""

from downscale_jax.evaluation.measures.anomaly_correlation import AnomalyCorrelation
from downscale_jax.evaluation.measures.bounds import Bounds
from downscale_jax.evaluation.measures.change import Change
from downscale_jax.evaluation.measures.closure import Closure
from downscale_jax.evaluation.measures.distribution import Distribution
from downscale_jax.evaluation.measures.examples import Examples
from downscale_jax.evaluation.measures.extremes import Extremes
from downscale_jax.evaluation.measures.hot_dry import HotDry
from downscale_jax.evaluation.measures.lag1 import Lag1
from downscale_jax.evaluation.measures.normality import Normality
from downscale_jax.evaluation.measures.places import Places
from downscale_jax.evaluation.measures.pointwise import Pointwise
from downscale_jax.evaluation.measures.scales import Scales
from downscale_jax.evaluation.measures.seams import Seams
from downscale_jax.evaluation.measures.semivariogram import Semivariogram
from downscale_jax.evaluation.measures.similarity import Similarity
from downscale_jax.evaluation.measures.spectra import Spectra
from downscale_jax.evaluation.measures.structure.features import ConnectedFeatures
from downscale_jax.evaluation.measures.structure.increments import Increments
from downscale_jax.evaluation.measures.structure.scattering import Scattering
from downscale_jax.evaluation.protocol import Measure

MEASURES: dict[str, type[Measure]] = {
    'examples': Examples,
    'pointwise': Pointwise,
    'anomaly_correlation': AnomalyCorrelation,
    'similarity': Similarity,
    'scales': Scales,
    'spectra': Spectra,
    'semivariogram': Semivariogram,
    'increments': Increments,
    'features': ConnectedFeatures,
    'scattering': Scattering,
    'distribution': Distribution,
    'places': Places,
    'extremes': Extremes,
    'hot_dry': HotDry,
    'change': Change,
    'lag1': Lag1,
    'closure': Closure,
    'bounds': Bounds,
    'normality': Normality,
    'seams': Seams,
}
