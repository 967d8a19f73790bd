"""From a case to what is stepped: its network, weights and recipe in its framework. Worker side."""

from __future__ import annotations

from typing import Any

import msgspec

from frameworks.api import IMPLEMENTATIONS, Prepares, Program
from frameworks.architectures import network
from frameworks.recipes import Execution
from frameworks.task import INFER
from frameworks.weights import Weights, resolve
from xibench.record.environment import version
from xibench.record.schema import Case
from xibench.run.plan import weights_seed


def sent(execution: Execution) -> dict[str, Any]:
    """An execution as a message holds it: messages import nothing of `frameworks`."""
    builtins: dict[str, Any] = msgspec.to_builtins(execution)
    return builtins


def received(execution: dict[str, Any]) -> Execution:
    """The execution that a message holds."""
    return msgspec.convert(execution, Execution)


def prepare(implementation: Prepares, case: Case, execution: Execution) -> Program:
    """The case's network, ready to be stepped as the execution says. Raises what the framework raises."""
    blueprint = network(case.model, case.variant, resolution=case.resolution)
    seed = weights_seed(case.weights)
    weights = resolve(blueprint, case.weights if seed is None else seed)
    return implementation.prepare(blueprint, weights, execution, INFER)


def seeded_weights(case: Case) -> Weights:
    """The initial weights of a case whose weights are a seed, `seed:N`."""
    return resolve(network(case.model, case.variant, resolution=case.resolution), weights_seed(case.weights))


def versions(framework: str) -> dict[str, str | None]:
    """The versions of a framework's or third-party implementation's distributions; None: not installed."""
    return {name: version(name) for name in IMPLEMENTATIONS[framework].distributions}
