"""The job that asks a framework for its versions, devices and recipes."""

from __future__ import annotations

from frameworks.api import IMPLEMENTATIONS, load
from frameworks.errors import MissingFramework
from frameworks.recipes import RECIPES
from xibench.measure.phase import Phase, PhaseListener
from xibench.workers.messages import Probe, ProbeFramework
from xibench.workers.programs import versions


def run_job(request: ProbeFramework, listener: PhaseListener) -> Probe:
    """Imports the framework and asks it. Why it cannot be used is part of the answer."""
    listener.on_phase(Phase.IMPORT)
    framework = request.framework
    devices: list[str] = []
    recipes: dict[str, list[tuple[str, str]]] = {}
    problem = None
    try:
        devices = list(load(framework).devices())
        best = "cuda" if "cuda" in devices else "cpu"
        described = IMPLEMENTATIONS[framework]
        recipes = {
            name: [(setting.what, setting.reason) for setting in described.recipe(name, best).settings]
            for name in described.settings or RECIPES
        }
    except MissingFramework as error:
        problem = str(error)
    except Exception as error:  # a broken installation raises what it likes on import
        problem = f"{framework}: cannot be imported: {type(error).__name__}: {error}"
    return Probe(framework=framework, versions=versions(framework), devices=devices, recipes=recipes, problem=problem)
