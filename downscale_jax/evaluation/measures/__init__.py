"""The measures by their names in `evaluation.measures`; see `evaluation.protocol` for how to add one."""

from collections.abc import MutableMapping

from downscale_jax.evaluation.protocol import Measure
from downscale_jax.runtime.tables import ImportedOnUse

MEASURES: MutableMapping[str, type[Measure]] = ImportedOnUse(
    examples='downscale_jax.evaluation.measures.examples:Examples',
    pointwise='downscale_jax.evaluation.measures.pointwise:Pointwise',
    anomaly_correlation='downscale_jax.evaluation.measures.anomaly_correlation:AnomalyCorrelation',
    similarity='downscale_jax.evaluation.measures.similarity:Similarity',
    scales='downscale_jax.evaluation.measures.scales:Scales',
    spectra='downscale_jax.evaluation.measures.spectra:Spectra',
    semivariogram='downscale_jax.evaluation.measures.semivariogram:Semivariogram',
    increments='downscale_jax.evaluation.measures.structure.increments:Increments',
    features='downscale_jax.evaluation.measures.structure.features:ConnectedFeatures',
    scattering='downscale_jax.evaluation.measures.structure.scattering:Scattering',
    distribution='downscale_jax.evaluation.measures.distribution:Distribution',
    places='downscale_jax.evaluation.measures.places:Places',
    extremes='downscale_jax.evaluation.measures.extremes:Extremes',
    hot_dry='downscale_jax.evaluation.measures.hot_dry:HotDry',
    change='downscale_jax.evaluation.measures.change:Change',
    lag1='downscale_jax.evaluation.measures.lag1:Lag1',
    closure='downscale_jax.evaluation.measures.closure:Closure',
    bounds='downscale_jax.evaluation.measures.bounds:Bounds',
    normality='downscale_jax.evaluation.measures.normality:Normality',
    seams='downscale_jax.evaluation.measures.seams:Seams',
)
