"""Pretrained weights (Keras, torchvision) as Flax variables."""
