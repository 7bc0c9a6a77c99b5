"""Evaluation of glacier outlines and of area change."""
