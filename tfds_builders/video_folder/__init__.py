"""Video folder: your own videos, in one folder per class."""
