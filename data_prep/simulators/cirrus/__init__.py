"""Simulated idealised cirrus: a slice of a cloud in a prescribed flow, with two schemes of microphysics."""
