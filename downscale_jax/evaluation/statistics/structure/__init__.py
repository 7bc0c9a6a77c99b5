"""Statistics of structure beyond power spectra: increments, connected features, scattering."""
