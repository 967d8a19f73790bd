"""Numbers of threads, in processes of their own: a framework takes one as it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from frameworks import beginning
from frameworks.recipes import recipe
from frameworks.runtime import usable_cores

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, sys
from frameworks import beginning
from frameworks.architectures import network
from frameworks.runtime import load
from frameworks.weights import initial
import numpy as np

framework, text, when = sys.argv[1:]
if when == "early":
    beginning.begin(framework, text, "cpu")
runtime = load(framework)
runtime.touch("cpu")
built = network("xception", "narrow", resolution=75)
if when == "late":
    beginning.begin(framework, text, "cpu")
subject = runtime.prepare(built, initial(built), text, "fp32", "cpu")
batch = subject.put(np.zeros((2, 75, 75, 3), np.float32))
subject.compile(batch)
subject.synchronise(subject.step(batch))
print(json.dumps([subject.settings()["threads"], [s.wanted for s in subject.substitutions]]))
"""


def threads(framework: str, text: str, when: str = "early") -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, framework, text, when], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    number, wanted = json.loads(done.stdout.splitlines()[-1])
    return number, wanted


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow", "jax"])
def test_a_recipe_has_the_number_of_threads_that_it_names(framework: str) -> None:
    assert threads(framework, "default+threads=3") == (3, [])


@pytest.mark.parametrize("when", ["late", "never"])
@pytest.mark.parametrize("framework", ["tensorflow", "jax"])
def test_threads_that_come_too_late_are_said(framework: str, when: str) -> None:
    number, wanted = threads(framework, "default+threads=3", when)
    assert number == usable_cores()
    assert wanted == ["3 threads"]


def test_a_contender_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beginning, "recipe", lambda *arguments: pytest.fail("asked for a recipe of ours"))
    beginning.begin("keras-jax", "tuned", "cpu")


def test_threads_are_asked_of_a_framework_only_where_a_recipe_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    beginning.begin("jax", "tuned", "cpu")
    assert os.environ == {}
    assert beginning.prepared("jax", recipe("jax", "tuned", "cpu")) == ()
