"""Synthetic Genre: drawn films of four classes, two motions times two sounds."""
