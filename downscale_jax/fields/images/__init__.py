"""Images of particles: reading them, and reducing them to silhouettes."""
