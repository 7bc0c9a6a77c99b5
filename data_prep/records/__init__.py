"""Kinds of records: fields with coarse inputs, block means, pairs, lag pairs."""
