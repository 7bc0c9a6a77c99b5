"""Work directories on disk: claimed for a run, read in older forms, packed into one file."""
