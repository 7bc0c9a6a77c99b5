"""Measurements of work on archives: preparation by Dask, inference by many processes."""
