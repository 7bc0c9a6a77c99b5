"""Geometry of fields: grids, blocks, filters, interpolation, harmonics, places."""
