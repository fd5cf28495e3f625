"""Surveillance Camera Fight: fights and other scenes from surveillance cameras."""
