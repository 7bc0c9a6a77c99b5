"""Learning problems, one per file, as pure functions."""
