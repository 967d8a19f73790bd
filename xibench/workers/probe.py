"""What a framework says of itself: asked in a fresh process of its interpreter, so that the asker imports none.

`python -m xibench.workers.probe FRAMEWORK` prints the answer as one line of JSON, after whatever the framework prints.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

import msgspec

from frameworks.errors import MissingFramework
from frameworks.runtime import FRAMEWORKS, RECIPES, distributions, framework_of, load
from xibench.record.environment import version
from xibench.workers import interpreters

PATIENCE_S: Final = 120.0


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """One framework in its interpreter. problem: why it cannot be used, with the cure; None if it can."""

    framework: str
    versions: dict[str, str | None]  # distribution -> version; null: not installed
    devices: list[str]  # cpu, cuda; empty if the framework cannot be used
    recipes: dict[str, list[tuple[str, str]]] = {}  # on the best device: name -> settings, each with its reason
    problem: str | None


def probe(framework: str) -> Probe:
    """Asks a framework in its interpreter; takes as long as importing it. Raises nothing: trouble is the `problem`."""
    try:
        done = interpreters.ask(framework, "xibench.workers.probe", framework, patience_s=PATIENCE_S)
        return msgspec.json.decode(interpreters.last_line(done), type=Probe)
    except subprocess.TimeoutExpired:
        problem = f"{framework}: importing it took longer than {PATIENCE_S:.0f} s"
    except (OSError, msgspec.MsgspecError):
        problem = f"{framework}: its interpreter cannot be asked; try `{FRAMEWORKS[framework_of(framework)].install}`"
    return Probe(framework=framework, versions={}, devices=[], problem=problem)


def versions(framework: str) -> dict[str, str | None]:
    """The versions of a framework's or contender's distributions in this interpreter."""
    return {name: version(name) for name in distributions(framework)}


def answer(framework: str) -> Probe:
    """Imports the framework here and asks it."""
    devices: list[str] = []
    recipes: dict[str, list[tuple[str, str]]] = {}
    problem = None
    try:
        runtime = load(framework)
        devices = list(runtime.devices())
        best = "cuda" if "cuda" in devices else "cpu"
        recipes = {name: list(runtime.recipe(name, best).settings) for name in RECIPES}
    except MissingFramework as error:
        problem = str(error)
    except Exception as error:  # a broken installation raises what it likes on import
        problem = f"{framework}: cannot be imported: {type(error).__name__}: {error}"
    return Probe(
        framework=framework, versions=versions(framework), devices=devices, recipes=recipes, problem=problem
    )


if __name__ == "__main__":
    sys.stdout.write("\n" + msgspec.json.encode(answer(sys.argv[1])).decode() + "\n")
    sys.stdout.flush()
    os._exit(0)  # some frameworks crash while the interpreter shuts down
