"""Comparison of evaluated runs."""
