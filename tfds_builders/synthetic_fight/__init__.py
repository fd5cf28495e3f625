"""Synthetic Fight: drawn clips of two classes that differ in motion alone."""
