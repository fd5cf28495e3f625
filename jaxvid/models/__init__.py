"""Architectures: `create.py` has them by name, `zoo.py` with their costs."""
