"""Training: loop, state, optimiser and log, for every task."""
