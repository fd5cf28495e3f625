"""From video files and prepared datasets to batches of clips."""
