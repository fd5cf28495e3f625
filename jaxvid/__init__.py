"""jaxvid: recognising violence, harassment and human activity in video, with JAX and Flax."""

__version__ = "0.1.0"
