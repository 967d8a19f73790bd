"""Scenarios: one module each, in one registry that the plan, the worker, the tables and the site ask.

    from xibench.scenarios import Scenario, register
    register(Scenario(name="bursts", ...))        # in a module that XIBENCH_PLUGINS names

Importing this package imports neither NumPy nor a framework.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from frameworks.errors import UnknownName
from xibench.record.schema import DEFAULT_SCENARIO, Case
from xibench.scenarios.compile import COMPILE
from xibench.scenarios.offline import OFFLINE
from xibench.scenarios.scenario import Scenario
from xibench.scenarios.server import SERVER
from xibench.scenarios.single_stream import SINGLE_STREAM

__all__ = [
    "COMPILE", "OFFLINE", "SCENARIOS", "SERVER", "SINGLE_STREAM", "Scenario", "case_name", "described", "find",
    "qualifier", "register",
]  # fmt: skip

_registered: Final[dict[str, Scenario]] = {}
SCENARIOS: Final[Mapping[str, Scenario]] = MappingProxyType(_registered)
"""Every scenario by name, in the order of registration: the order of a plan, of `list` and of help texts."""


def register(scenario: Scenario) -> None:
    """Add a scenario, so that every command, table and page knows it.

    Raises:
        ValueError: another scenario has this name.

    """
    if _registered.setdefault(scenario.name, scenario) is not scenario:
        raise ValueError(f"scenario '{scenario.name}' is registered already: give the new one another name")


def find(name: str) -> Scenario:
    """Return a scenario by name.

    Raises:
        UnknownName: no scenario has this name; the message gives the nearest names.

    """
    if name not in SCENARIOS:
        raise UnknownName("scenario", name, SCENARIOS)
    return SCENARIOS[name]


def described(name: str) -> Scenario:
    """Return what is known of the scenario of a record, also where the module that registers it is not loaded.

    A run file stays readable without the plugin that measured it: its samples are then shown as plain steps.
    """
    return SCENARIOS.get(name) or Scenario(
        name=name, label=name, description="not registered in this process", run=OFFLINE.run,
        metrics=OFFLINE.metrics, headline=OFFLINE.headline,
    )  # fmt: skip


def qualifier(name: str) -> str:
    """Return the name as titles and case names show it: empty for the default scenario, which goes without saying."""
    return "" if name == DEFAULT_SCENARIO else name


def case_name(case: Case, without: Collection[str] = ()) -> str:
    """Return the name of a case, in the values of the options that select it. A default scenario is omitted.

    Args:
        case: The case.
        without: Fields that are not part of the name, of framework, recipe and precision.
    """
    parts = [
        case.framework, case.model if case.variant == "default" else f"{case.model}/{case.variant}", case.recipe,
        case.precision, f"batch {case.batch}", f"{case.resolution} px", case.device, qualifier(case.scenario),
    ]  # fmt: skip
    hidden = [{"framework": 0, "recipe": 2, "precision": 3}[name] for name in without]
    return " ".join(part for index, part in enumerate(parts) if part and index not in hidden)


for _scenario in (OFFLINE, SINGLE_STREAM, SERVER, COMPILE):
    register(_scenario)
