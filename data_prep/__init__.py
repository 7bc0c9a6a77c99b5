"""Preparation of data: raw or simulated fields to records."""
