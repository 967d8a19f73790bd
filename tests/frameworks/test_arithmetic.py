"""Modes of the processor: denormal numbers and rounding, found out by computing in each framework."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from frameworks.api import FRAMEWORKS
from frameworks.architectures import network
from frameworks.process import arithmetic
from tests.frameworks.programs import prepare, step

ROOT = Path(__file__).parents[2]
BUILT = network("separable", "channels=8+features=8", resolution=8)
FE_MODES = {"nearest": 0x000, "down": 0x400, "up": 0x800, "toward zero": 0xC00}  # fenv.h on x86
PROGRAM = """
import json, sys
import numpy as np
import torch
from frameworks.architectures import network
from tests.frameworks.programs import prepare, step

pool, *recipes = sys.argv[1:]
if pool == "started":
    torch.ones(2**22).mul_(2)
built = network("separable", "channels=8+features=8", resolution=8)
for recipe in recipes:
    program = prepare("pytorch", built, recipe)
    step(program, np.zeros((1, 8, 8, 8), np.float32))
    print(json.dumps([torch.get_num_threads(), program.readings().settings["denormals"]]))
"""


def in_pytorch(pool: str, *recipes: str) -> list[tuple[int, str]]:
    """Threads and `denormals` of one program after another in a fresh process, whose pool has started before or not."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, pool, *recipes], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("framework", "expected"), [("tensorflow", "flushed"), ("jax", "flushed"), ("reference", "kept")]
)
def test_tensorflow_and_jax_flush_denormals_and_numpy_keeps_them(framework: str, expected: str) -> None:
    program = prepare(framework, BUILT)
    step(program, np.zeros((1, 8, 8, 8), np.float32))
    settings = program.readings().settings
    assert (settings["denormals"], settings["rounding"]) == (expected, "nearest")


def test_pytorch_flushes_denormals_on_all_threads_on_request() -> None:
    assert in_pytorch("fresh", "default+denormals=flushed+threads=4") == [(4, "flushed")]


def test_pytorch_keeps_denormals_by_default_and_threads_that_have_started_keep_their_mode() -> None:
    found = in_pytorch("started", "default", "default+denormals=flushed")
    if found[0][0] == 1:
        pytest.skip("one thread")
    assert [denormals for _, denormals in found] == ["kept", "flushed by some threads"]


def test_only_tuned_in_pytorch_on_a_cpu_flushes() -> None:
    pytorch = FRAMEWORKS["pytorch"]
    chosen = {
        (recipe, device): pytorch.recipe(recipe, device).choices["denormals"]
        for recipe in ("default", "compiled", "tuned") for device in ("cpu", "cuda")
    }  # fmt: skip
    assert [case for case, value in chosen.items() if value == "flushed"] == [("tuned", "cpu")]
    assert "denormals" not in pytorch.open_choices("cuda")


@pytest.mark.parametrize("mode", FE_MODES)
def test_the_rounding_mode_of_the_processor_is_found_out(mode: str) -> None:
    if os.uname().machine != "x86_64" or sys.platform != "linux":
        pytest.skip("the constants are those of x86")
    libm = ctypes.CDLL("libm.so.6")
    libm.fesetround(FE_MODES[mode])
    try:
        found = arithmetic(lambda left, right: left * right)
    finally:
        libm.fesetround(FE_MODES["nearest"])
    assert found == {"denormals": "kept", "rounding": mode}


def test_a_mode_of_only_some_threads_is_told_from_one_of_all() -> None:
    def half_flushed(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
        product: NDArray[np.float32] = left * right
        product[: len(product) // 2][product[: len(product) // 2] < 1e-30] = 0
        return product

    assert arithmetic(half_flushed)["denormals"] == "flushed by some threads"
