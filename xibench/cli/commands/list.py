"""`xibench list`: every name that the other commands take."""

from __future__ import annotations

import sys
from typing import Any

from xibench.cli.options import Json, print_json


def list_names(as_json: Json = False) -> None:
    """Every name that the other commands take.

    Networks with their variants, frameworks, contenders, scenarios, recipes, precisions and presets.

    \b
    Example:  xibench list --json
    """
    if as_json:
        print_json(inventory())
        return
    from xibench.cli.render import terminal
    from xibench.cli.render.tables import inventory_tables

    for table in inventory_tables(inventory()):
        terminal.show(table)


def inventory() -> dict[str, Any]:
    """Every registered name, and per framework and contender the versions of its distributions, null where one is not
    installed.
    """
    from frameworks.architectures import MODELS, OPERATORS
    from frameworks.runtime import FRAMEWORKS, IMPLEMENTATIONS, PRECISIONS, RECIPES
    from frameworks.third_party import CONTENDERS
    from xibench.run.presets import PRESETS
    from xibench.scenarios import SCENARIOS

    return {
        "models": [{"name": name, "variants": list(model.variants)} for name, model in MODELS.items()],
        "operators": [{"name": name, "variants": list(model.variants)} for name, model in OPERATORS.items()],
        "frameworks": list(FRAMEWORKS),
        "contenders": list(CONTENDERS),
        "scenarios": list(SCENARIOS),
        "recipes": list(RECIPES),
        "precisions": list(PRECISIONS),
        "presets": list(PRESETS),
        "purposes": {
            "contenders": {name: contender.what for name, contender in CONTENDERS.items()},
            "scenarios": {name: scenario.description for name, scenario in SCENARIOS.items()},
            "recipes": dict(RECIPES),
            "precisions": dict(PRECISIONS),
            "presets": {name: preset.purpose for name, preset in PRESETS.items()},
        },
        "versions": {name: _versions(name) for name in IMPLEMENTATIONS},
    }


def _versions(framework: str) -> dict[str, str | None]:
    """The versions of a framework's or contender's distributions where its workers run, read from the disk.

    None: not installed.
    """
    from importlib import metadata
    from pathlib import Path

    from frameworks.runtime import distributions
    from xibench.workers.interpreters import interpreter

    python = Path(interpreter(framework))
    site = python.parents[1].glob("lib/python*/site-packages")
    own = None if str(python) == sys.executable else [str(folder) for folder in site]
    found = {}
    for name in distributions(framework):
        places = metadata.distributions(name=name) if own is None else metadata.distributions(name=name, path=own)
        found[name] = next((distribution.version for distribution in places), None)
    return found
