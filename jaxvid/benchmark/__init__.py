"""Cost of a config: rates of the input pipeline, the training step and inference."""
