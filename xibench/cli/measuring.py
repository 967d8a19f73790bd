"""What commands that measure share: from options to a plan and a rule, and from those to a run file."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from xibench.cli.options import print_json
from xibench.errors import UsageError

if TYPE_CHECKING:
    import typer

    from xibench.record.schema import Case, Rule
    from xibench.record.store import RunFile
    from xibench.run.execute import Watch

WITH_RESUME: Final = ("resume", "as_json", "no_ceilings")
"""The options that do not change a run file's plan."""


@dataclass(frozen=True)
class Fresh:
    """What a new run file is made from."""

    cases: tuple[Case, ...]
    rule: Rule
    preset: str | None
    out: Path


def measure(fresh: Fresh | None, resume: Path | None, calibrate: bool) -> Path:
    """Measures a new plan, or what a run file still lacks of its own; returns the run file's path.

    calibrate: whether the device's ceilings are measured first.
    """
    from xibench.cli.render.progress import watching
    from xibench.run import execute as parent

    with watching() as watch, _open(fresh, resume, watch) as run_file:
        parent.run(run_file.pending(), run_file, watch, calibrate=calibrate)
    return run_file.path


def print_plan(cases: tuple[Case, ...], rule: Rule, as_json: bool) -> None:
    """What would be measured, with what a step of each case costs."""
    from xibench.run.case_costs import costs

    rows = [(case, costs(case)) for case in cases]
    if as_json:
        print_json({"rule": rule, "plan": [{"case": case, "costs": cost} for case, cost in rows]})
        return
    from xibench.cli.render import terminal
    from xibench.cli.render.run_tables import plan_table

    terminal.show(plan_table(rows, rule))


def only_given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options without those that were not typed."""
    return {name: value for name, value in options.items() if value is not None and value != ()}


def rule_with(rule: Rule, options: Mapping[str, Any]) -> Rule:
    """The rule with the parts that options replace. A bound that an option passes moves with it."""
    import msgspec

    given = only_given(options)
    if given.get("half_width") == 0:
        given["half_width"] = None
    rule = msgspec.structs.replace(rule, **given)
    return msgspec.structs.replace(
        rule,
        max_steps=max(rule.max_steps, rule.min_steps),
        warmup_steps=min(rule.warmup_steps, rule.max_warmup_steps),
    )


def refuse_beside_resume(context: typer.Context) -> None:
    """Raises UsageError if the plan of a run file is to be gone on with and changed at once."""
    refuse_others(context, WITH_RESUME, "--resume goes on with the plan of its file: received")


def refuse_others(context: typer.Context, allowed: Sequence[str], because: str) -> None:
    """Raises UsageError if other options were typed than the allowed ones. because: the line's beginning."""
    given = [name for name in context.params if name not in allowed and _typed(context, name)]
    if given:
        options = ", ".join("--" + name.replace("_", "-") for name in given)
        raise UsageError(f"{because} {options} too, expected nothing else")


def _typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _open(fresh: Fresh | None, resume: Path | None, watch: Watch) -> RunFile:
    from xibench.run import start

    if fresh is None:
        assert resume is not None
        return start.resume(resume, watch)
    command = shlex.join(["xibench", *sys.argv[1:]])
    return start.start(fresh.cases, fresh.rule, fresh.preset, command, fresh.out)
