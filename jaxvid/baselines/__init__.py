"""Baselines that cost nothing: what a network must beat to have learned something."""
