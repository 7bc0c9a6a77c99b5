"""What names lags without a network: chance, a constant answer, a classifier on patch MSE and pattern correlation."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

PENALTY = 1e-4  # on squared weights, per pair: little against what is learnt from pairs, much against what is not
ITERATIONS = 20_000  # far more than it takes
GRADIENT = 1e-5  # largest component, in nat, at which the minimum counts as found


class Classifier(NamedTuple):
    """Multinomial logistic regression on features, their squares and products."""

    mean: np.ndarray  # [F]
    std: np.ndarray
    weights: np.ndarray  # [1 + F + F (F + 1)/2, classes]

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """[N, F] -> [N, classes]."""
        return _softmax(_terms((features - self.mean) / self.std) @ self.weights)


def fit(features: np.ndarray, lag: np.ndarray, classes: int) -> Classifier:
    """The classifier of pairs [N, F] with known lags [N] that minimises `objective`, which is convex."""
    mean, std = features.mean(0), features.std(0)
    std = np.where(std > 0, std, 1)
    terms, truth = _terms((features - mean) / std), np.eye(classes)[lag]

    def loss(flat):
        value, gradient = objective(flat.reshape(-1, classes), terms, truth)
        return value, gradient.ravel()

    options = {'maxiter': ITERATIONS, 'maxfun': 2 * ITERATIONS, 'gtol': GRADIENT, 'ftol': 0, 'maxcor': 30}
    found = minimize(loss, np.zeros(terms.shape[1] * classes), jac=True, method='L-BFGS-B', options=options)
    return Classifier(mean, std, found.x.reshape(-1, classes))


def objective(weights: np.ndarray, terms: np.ndarray, truth: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean cross-entropy plus PENALTY times the squares of all weights but the constants, and its gradient.

    weights [T, classes]; terms [N, T], the first one 1; truth [N, classes], 1 at the true lag.
    """
    told = _softmax(terms @ weights)
    penalised = np.concatenate([np.zeros_like(weights[:1]), weights[1:]])
    value = -np.log((told * truth).sum(1) + 1e-300).mean() + PENALTY * np.square(penalised).sum()
    return value, terms.T @ (told - truth) / len(terms) + 2 * PENALTY * penalised


def _terms(x: np.ndarray) -> np.ndarray:
    """1, x and all products of two of x."""
    i, j = np.triu_indices(x.shape[1])
    return np.concatenate([np.ones((len(x), 1)), x, x[:, i] * x[:, j]], -1)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def chance(lag: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """What is to be expected, pair by pair, of lags drawn at random, each as likely as any other; errors in steps."""
    errors = np.abs(lag[:, None] - np.arange(classes)).mean(1)
    return {
        'cross_entropy': np.full(len(lag), np.log(classes)),
        'accuracy': np.full(len(lag), 1 / classes),
        'top3': np.full(len(lag), min(3, classes) / classes),
        'lag_error': errors,
        'median_error': errors,
    }


def constant(lag: np.ndarray, answer: int, classes: int) -> dict[str, np.ndarray]:
    """One answer to all pairs, its neighbours as second and third choice; the cross-entropy would be infinite."""
    lowest = min(max(answer - 1, 0), max(classes - 3, 0))
    errors = np.abs(lag - answer).astype(float)
    return {
        'accuracy': (lag == answer).astype(float),
        'top3': ((lag >= lowest) & (lag < lowest + 3)).astype(float),
        'lag_error': errors,
        'median_error': errors,
    }


def middle(classes: int) -> int:
    """Class of the middle lag, the shorter of two: the constant answer with the least error to uniform lags."""
    return (classes - 1) // 2
