"""Ensembles written to stores by any number of processes: claims of work units, their places, and the store itself."""
