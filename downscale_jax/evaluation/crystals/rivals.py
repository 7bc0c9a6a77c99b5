"""Rivals of the network that predict properties from the seven features of silhouettes, or from nothing."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MEAN, LINEAR, FOREST = 'mean', 'linear', 'random_forest'
LEAF, DEPTH, CLASS_DEPTH = 10, 20, 10  # of the forests, as published


class Answer(NamedTuple):
    """Predictions for N images."""

    numbers: np.ndarray  # [N, K]
    label: np.ndarray  # [N] index of the class


Rival = Callable[[np.ndarray], Answer]  # of features [N, F]


def fit(features: np.ndarray, numbers: np.ndarray, label: np.ndarray, trees: int, seed: int) -> Mapping[str, Rival]:
    """Rivals fitted to the features [N, F], numbers [N, K] and classes [N] of the training split.

    The linear rival regresses numbers by least squares and classes by logistic regression.
    """
    forest = {'n_estimators': trees, 'random_state': seed, 'n_jobs': -1}
    models = {
        MEAN: (DummyRegressor(), DummyClassifier(strategy='prior')),
        LINEAR: (
            make_pipeline(StandardScaler(), LinearRegression()),
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        ),
        FOREST: (
            RandomForestRegressor(max_depth=DEPTH, min_samples_leaf=LEAF, **forest),
            RandomForestClassifier(max_depth=CLASS_DEPTH, **forest),
        ),
    }
    for regressor, classifier in models.values():
        regressor.fit(features, numbers)
        classifier.fit(features, label)

    def rival(name: str) -> Rival:
        regressor, classifier = models[name]
        return lambda features: Answer(
            regressor.predict(features).reshape(-1, numbers.shape[1]), classifier.predict(features)
        )

    return {name: rival(name) for name in models}
