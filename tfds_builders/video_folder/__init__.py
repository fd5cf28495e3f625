"""Video folder: anyone's own videos, in one folder a class."""
