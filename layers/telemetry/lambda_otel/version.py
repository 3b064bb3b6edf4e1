"""Version of the layer."""

__version__ = "0.1.0"
