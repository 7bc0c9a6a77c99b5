"""Evaluation of 3-D properties of crystals: scores beside rivals, by number of arms and by orientation."""
