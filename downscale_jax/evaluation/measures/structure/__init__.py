"""Measures of structure: what distinguishes lines from blobs where power spectra are equal."""
