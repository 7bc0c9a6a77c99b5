"""Interpretation of data: reading, grids, units, calendars, context and transforms."""
