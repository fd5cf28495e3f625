"""Operations that XLA computes slowly on the CPU; flax.linen computes the same."""
