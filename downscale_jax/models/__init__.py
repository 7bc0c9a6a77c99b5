"""Networks, in flax linen."""
