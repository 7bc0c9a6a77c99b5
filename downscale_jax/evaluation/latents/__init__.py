"""What evaluations of latent spaces share: principal components as rivals, standardised images, active latents."""
