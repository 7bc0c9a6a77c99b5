"""Evaluation of AtmoDist: lags of pairs, and its distance."""
