"""xibench: the same convolutional networks in PyTorch, TensorFlow and JAX, proven equal and measured honestly."""

__version__ = "0.2.0"
