"""Trained generator + coarse data set -> fine ensemble; tiled, streamed, resumable."""
