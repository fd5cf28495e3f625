"""Predictions of evaluated clips, and the metrics computed from them."""
