"""Pages for people who look at predictions: one over all videos, one for each."""
