"""Satellite rasters and outlines on one projected grid: products, clouds, choice of scenes, geographic folds."""
