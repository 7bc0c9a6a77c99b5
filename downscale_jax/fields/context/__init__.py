"""Static and periodic fields that networks see beside the coarse field."""
