"""Screening of values: missing ones, and physical limits."""
