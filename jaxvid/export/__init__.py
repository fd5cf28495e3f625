"""Export of a checkpoint for programs without jaxvid."""
