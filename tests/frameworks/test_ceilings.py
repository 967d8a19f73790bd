"""Matmuls and copies for ceilings do the work that they are named after, and return when the device has finished."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from frameworks.api import FRAMEWORKS, HasCeilings, load, matmul_operands
from frameworks.errors import Unsupported
from frameworks.recipes import Precision

EPSILON: dict[Precision, float] = {"fp64": 1e-12, "fp32": 1e-5, "bf16": 2e-2}
DTYPE = {"fp64": "float64", "fp32": "float32", "bf16": "bfloat16"}


def ceilings(framework: str) -> HasCeilings:
    implementation = load(framework)
    assert isinstance(implementation, HasCeilings)
    return implementation


def as_float64(result: Any) -> np.ndarray:
    wide = result.double() if hasattr(result, "double") else result
    return np.asarray(wide).astype(np.float64)


def address(array: Any) -> int:
    """Address of a framework's array in host memory."""
    if hasattr(array, "data_ptr"):
        return int(array.data_ptr())
    if hasattr(array, "unsafe_buffer_pointer"):
        return int(array.unsafe_buffer_pointer())
    return int(np.asarray(memoryview(array)).__array_interface__["data"][0])


@pytest.mark.parametrize("precision", EPSILON)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_matmul_multiplies_two_square_matrices_in_its_precision(framework: str, precision: Precision) -> None:
    left, right = (operand.astype(np.float64) for operand in matmul_operands(96))
    result = ceilings(framework).matmul(96, precision, "cpu")()
    assert DTYPE[precision] in str(result.dtype)
    found = as_float64(result)
    assert np.max(np.abs(found - left @ right)) < EPSILON[precision] * np.max(np.abs(left @ right))


def test_operands_are_square_dense_and_the_same_each_time() -> None:
    (left, right), again = matmul_operands(32), matmul_operands(32)
    assert left.shape == right.shape == (32, 32)
    assert np.count_nonzero(left) == left.size
    assert not np.array_equal(left, right)
    assert np.array_equal(left, again[0])


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_copy_writes_all_bytes_to_another_address(framework: str) -> None:
    call = ceilings(framework).copy(1 << 16, "cpu")
    source = inspect.getclosurevars(call).nonlocals["source"]
    for _ in range(2):
        result = call()
        assert np.asarray(result).nbytes == 1 << 16
        assert np.all(np.asarray(result) == 1)
        assert address(result) != address(source)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_ceilings_of_a_missing_gpu_are_unsupported(framework: str) -> None:
    implementation = ceilings(framework)
    if "cuda" in load(framework).devices():
        pytest.skip("this machine has a GPU")
    with pytest.raises(Unsupported, match=f"{framework}: no usable CUDA device"):
        implementation.matmul(8, "fp32", "cuda")
    with pytest.raises(Unsupported, match=f"{framework}: no usable CUDA device"):
        implementation.copy(1 << 10, "cuda")
