"""Static and periodic fields that networks see in addition to the coarse field."""
