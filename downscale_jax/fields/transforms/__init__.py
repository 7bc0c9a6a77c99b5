"""Transforms between physical and normalised fields, fitted on the training split."""
