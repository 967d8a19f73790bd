"""The networks in TensorFlow: `build` gives a tf.Module."""

from frameworks.tensorflow.model import Model, build

__all__ = ["Model", "build"]
