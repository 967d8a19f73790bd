"""Questions to a framework: its versions, devices and recipes, and its own FLOP counter.

A framework is asked in a fresh process of its interpreter, so that the asking process imports none.
"""

from __future__ import annotations

from typing import Final

from frameworks.api import IMPLEMENTATIONS, CountsFlops, framework_of, load
from frameworks.architectures import network
from frameworks.errors import MissingFramework, Unsupported
from frameworks.recipes import RECIPES, Device
from frameworks.weights import initial
from xibench.measure.phase import Phase, PhaseListener
from xibench.record.environment import version
from xibench.workers import session
from xibench.workers.messages import CountFlops, FlopsCounted, Probe, ProbeFramework

TIME_LIMIT_S: Final = 120.0


def probe(framework: str) -> Probe:
    """Ask a framework in its interpreter, which takes as long as importing it.

    Never raises: if the framework cannot be asked, `problem` is the reason in one line, with the cure.
    """
    outcome = session.run_worker(
        session.worker_command(framework), session.worker_environment(), ProbeFramework(framework=framework), Probe,
        TIME_LIMIT_S,
    )  # fmt: skip
    if outcome.result is not None:
        return outcome.result
    cure = IMPLEMENTATIONS[framework_of(framework)].install
    problem = f"{framework}: its interpreter cannot be asked: {outcome.reason}; try `{cure}`"
    return Probe(framework=framework, versions={}, devices=[], problem=problem)


def describe_framework(request: ProbeFramework, listener: PhaseListener) -> Probe:
    """Job: import the framework and ask for its versions, devices and recipes. Why it is unusable is in the answer."""
    listener.on_phase(Phase.IMPORT)
    framework = request.framework
    description = IMPLEMENTATIONS[framework]
    devices: list[str] = []
    recipes: dict[str, list[tuple[str, str]]] = {}
    problem = None
    try:
        devices = list(load(framework).devices())
        best: Device = "cuda" if "cuda" in devices else "cpu"
        recipes = {
            name: [(setting.what, setting.reason) for setting in description.recipe(name, best).settings]
            for name in description.settings or RECIPES
        }
    except MissingFramework as error:
        problem = str(error)
    except Exception as error:  # a broken installation may raise anything on import
        problem = f"{framework}: cannot be imported: {type(error).__name__}: {error}"
    versions = {name: version(name) for name in description.distributions}
    return Probe(framework=framework, versions=versions, devices=devices, recipes=recipes, problem=problem)


def count_flops(request: CountFlops, listener: PhaseListener) -> FlopsCounted:
    """Job: count the FLOPs of one forward pass with the framework's own counter.

    Raises:
        Unsupported: The framework has no counter. Otherwise whatever the counter raises.
    """
    listener.on_phase(Phase.IMPORT)
    implementation = load(request.framework)
    if not isinstance(implementation, CountsFlops):
        raise Unsupported(f"{request.framework} has no counter")
    built = network(request.model, request.variant, resolution=request.resolution)
    return FlopsCounted(flops=implementation.count_flops(built, initial(built), request.batch))
