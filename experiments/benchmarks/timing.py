"""Times of several calls, measured in turn, so that other work on the machine affects all of them alike."""

import time
from collections.abc import Callable

import numpy as np


def times(calls: dict[str, Callable[[], None]], seconds: float) -> dict[str, np.ndarray]:
    """{name: seconds of each round}; at least five rounds after two that do not count. Calls wait for their results."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for call in 2 * list(calls.values()):
        call()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(found.values()))) < 5:
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            found[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in found.items()}


def ratio(these: np.ndarray, those: np.ndarray) -> str:
    """Median over the rounds of these over those, with the tenth and the ninetieth percentile."""
    low, middle, high = np.percentile(these / those, [10, 50, 90])
    return f'{middle:.2f} ({low:.2f} to {high:.2f})'
