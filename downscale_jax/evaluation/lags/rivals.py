"""Rivals of the network that predict lags without it: chance, a constant, and a classifier on simple similarities."""

from typing import NamedTuple

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

PENALTY = 1e-4  # on squared weights, per pair: small against the evidence of the pairs, large against none
ITERATIONS = 1000  # Newton's method takes about ten
GRADIENT = 1e-6  # largest component, in nat, at convergence; 1e-5 leaves errors of 1e-4 in the probabilities


class Classifier(NamedTuple):
    """Multinomial logistic regression on standardised features, their squares and products."""

    model: Pipeline
    classes: int

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """[N, F] -> [N, classes]; 0 for lags without a training pair."""
        result = np.zeros((len(features), self.classes))
        result[:, self.model.classes_] = self.model.predict_proba(features)
        return result


def fit(features: np.ndarray, lag: np.ndarray, classes: int) -> Classifier:
    """The classifier of pairs [N, F] with known lags [N] that minimises

        mean cross-entropy + PENALTY * sum of squared weights,

    constants not penalised, which is convex.
    """
    present = len(np.unique(lag))
    # scikit-learn minimises C * sum of cross-entropies + |w|^2 / 2; for two classes it keeps one difference of weights,
    # whose square is twice the sum of both squares
    inverse = (1 if present == 2 else 2) * len(lag) * PENALTY
    regression = LogisticRegression(C=1 / inverse, solver='newton-cg', tol=GRADIENT, max_iter=ITERATIONS)
    last = regression if present > 1 else DummyClassifier(strategy='prior')
    model = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False), last)
    return Classifier(model.fit(features, lag), classes)


def chance(lag: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """Expected scores of each pair for lags drawn at random, all equally likely; errors in steps."""
    errors = np.abs(lag[:, None] - np.arange(classes)).mean(1)
    return {
        'cross_entropy': np.full(len(lag), np.log(classes)),
        'accuracy': np.full(len(lag), 1 / classes),
        'top3': np.full(len(lag), min(3, classes) / classes),
        'lag_error': errors,
        'median_error': errors,
    }


def constant(lag: np.ndarray, prediction: int, classes: int) -> dict[str, np.ndarray]:
    """Scores of each pair for the same prediction everywhere, its neighbours as second and third choice.

    The cross-entropy is left out: it would be infinite.
    """
    lowest = min(max(prediction - 1, 0), max(classes - 3, 0))
    errors = np.abs(lag - prediction).astype(float)
    return {
        'accuracy': (lag == prediction).astype(float),
        'top3': ((lag >= lowest) & (lag < lowest + 3)).astype(float),
        'lag_error': errors,
        'median_error': errors,
    }
