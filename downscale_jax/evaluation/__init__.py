"""Evaluation of downscalers: one streaming loop over test times for all of them."""
