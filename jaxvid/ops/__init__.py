"""Operations below the layers: all of this is CPU speed; flax.linen's own layers compute the same.

The exception is `random`: keys that do not depend on the number of devices.
"""
