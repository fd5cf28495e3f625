"""Metrics of predictions: plain numbers."""
