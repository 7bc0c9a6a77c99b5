"""Evaluation of a latent space of images: clusters against labels."""
