"""From a case to what is stepped: its network, weights and recipe in its framework. Worker side."""

from __future__ import annotations

from frameworks.architectures import network
from frameworks.runtime import Runtime, Subject, distributions
from frameworks.weights import resolve
from xibench.record.environment import version
from xibench.record.schema import Case
from xibench.run.plan import weights_seed


def prepare(runtime: Runtime, case: Case) -> Subject:
    """The case's network on its device as its recipe says. Raises what the framework raises."""
    blueprint = network(case.model, case.variant, resolution=case.resolution)
    seed = weights_seed(case.weights)
    weights = resolve(blueprint, case.weights if seed is None else seed)
    return runtime.prepare(blueprint, weights, case.recipe, case.precision, case.device)


def versions(framework: str) -> dict[str, str | None]:
    """The versions of a framework's or third-party implementation's distributions; None: not installed."""
    return {name: version(name) for name in distributions(framework)}
