"""Schedules, loss and samplers of diffusion models, for any denoising function."""
