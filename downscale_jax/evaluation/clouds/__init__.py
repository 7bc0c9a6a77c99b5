"""Evaluation of a latent metric for cloud simulations: reconstruction, distances, smoothness in time, schemes."""
