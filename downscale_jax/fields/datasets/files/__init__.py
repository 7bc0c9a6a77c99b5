"""Opening, decoding and joining of files in every container."""
