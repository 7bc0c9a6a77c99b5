"""Readers of archives and products: file forms to canonical data sets."""
