"""Process-level settings of a recipe, in separate processes, since a framework reads its threads when it starts."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from frameworks import process
from frameworks.api import FRAMEWORKS, IMPLEMENTATIONS
from frameworks.process import configure_process, process_environment, usable_cores

ROOT = Path(__file__).parents[2]
KEEP = inspect.unwrap(process.keep_memory)
PROGRAM = """
import json, sys
from frameworks.api import find, load
from frameworks.architectures import network
from frameworks.process import configure_process
from frameworks.task import INFER, Batch
from frameworks.weights import initial
import numpy as np

name, text, when = sys.argv[1:]
execution = find(name).execution(text, "fp32", "cpu")
if when == "early":
    configure_process(find(name), execution)
implementation = load(name)
implementation.touch("cpu")
built = network("separable", "channels=8+features=8", resolution=16)
if when == "late":
    configure_process(find(name), execution)
program = implementation.prepare(built, initial(built), execution, INFER)
batch = program.put(Batch(np.zeros((2, 16, 16, 8), np.float32)))
program.compile(batch)
program.synchronise(program.step(batch))
settings = program.readings().settings
print(json.dumps([settings["threads"], settings["memory_kept"], [s.wanted for s in program.substitutions]]))
"""


def stepped(framework: str, text: str, when: str, **variables: str) -> tuple[int, bool, list[str]]:
    """Threads, whether memory is kept, missing settings, of a process that configures itself early, late or never."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, framework, text, when], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
    )  # fmt: skip
    threads, kept, wanted = json.loads(done.stdout.splitlines()[-1])
    return threads, kept, wanted


@pytest.mark.parametrize("framework", ["pytorch", pytest.param("tensorflow", marks=pytest.mark.slow), "jax"])
def test_environment_variables_make_the_settings_of_a_recipe(framework: str) -> None:
    execution = FRAMEWORKS[framework].execution("default+threads=3+memory=kept", "fp32", "cpu")
    variables = process_environment(FRAMEWORKS[framework], execution)
    assert set(process.MALLOC_VARIABLES) <= set(variables)
    assert stepped(framework, execution.recipe.name, "never", **variables) == (3, True, [])


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_configuring_a_process_before_the_import_makes_the_same_settings(framework: str) -> None:
    assert stepped(framework, "default+threads=3+memory=kept", "early") == (3, True, [])


@pytest.mark.parametrize("when", ["late", "never"])
@pytest.mark.parametrize("framework", [pytest.param("tensorflow", marks=pytest.mark.slow), "jax"])
def test_threads_that_are_set_too_late_are_reported(framework: str, when: str) -> None:
    threads, kept, wanted = stepped(framework, "default+threads=3+memory=kept", when)
    assert (threads, kept, wanted) == (usable_cores(), True, ["3 threads"])


def test_only_a_recipe_that_needs_it_changes_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    for name, recipe in (("keras-jax", "tuned"), ("tensorflow", "tuned"), ("jax", "default")):
        framework = IMPLEMENTATIONS[name]
        execution = framework.execution(recipe, "fp32", "cpu")
        assert process_environment(framework, execution) == {}
        assert configure_process(framework, execution) == ()
    assert os.environ == {}


def test_a_c_library_without_mallopt_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "keep_memory", KEEP)
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    jax = FRAMEWORKS["jax"]
    assert configure_process(jax, jax.execution("tuned", "fp32", "cpu")) == (process.NO_MALLOPT,)
    assert configure_process(jax, jax.execution("default", "fp32", "cpu")) == ()
