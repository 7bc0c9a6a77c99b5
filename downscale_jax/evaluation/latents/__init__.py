"""Shared by the evaluations of latent spaces: principal components as rivals, standardised images, active latents."""
