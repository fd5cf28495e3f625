"""Synthetic Genre: drawn videos of four classes, two motions times two sounds."""
