"""Foreign weights (Keras, torchvision) as Flax variables."""
