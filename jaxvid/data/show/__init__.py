"""What there is to see of data before a network is trained on it: numbers, frames, and a network's inputs."""
