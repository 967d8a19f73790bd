"""The largest rates that TensorFlow reaches on a device: a matrix product, and a copy. Each call is synchronised."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from frameworks.runtime import Precision, square_operands
from frameworks.tensorflow import recipes
from frameworks.tensorflow.model import DTYPES


def product(n: int, precision: Precision, device: str) -> Callable[[], tf.Tensor]:
    """tf.matmul; see frameworks.runtime.Runtime."""
    recipes.require(device)
    recipes.set_products(precision, device)
    with tf.device(recipes.tf_device(device)):
        left, right = (tf.constant(operand, DTYPES[precision]) for operand in square_operands(n))
    return lambda: _finished(tf.matmul(left, right), device)


def copy(size_bytes: int, device: str) -> Callable[[], tf.Tensor]:
    """tf.raw_ops.DeepCopy; see frameworks.runtime.Runtime. tf.identity would hand on the same memory."""
    recipes.require(device)
    with tf.device(recipes.tf_device(device)):
        source = tf.ones(size_bytes // 4, tf.float32)
    return lambda: _finished(tf.raw_ops.DeepCopy(x=source), device)


def _finished(result: tf.Tensor, device: str) -> tf.Tensor:
    if device == "cuda":
        tf.test.experimental.sync_devices()
    return result
