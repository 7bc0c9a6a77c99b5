"""Embedded default data: sea ice, dry atmosphere, mountain climate, and a coarse model of it."""
