"""Prediction: videos in, timelines and events out."""
