"""What commands that measure share: from options to a plan and a rule, and from those to a run file."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xibench.cli.options import print_json

if TYPE_CHECKING:
    from xibench.record.schema import Case, Rule
    from xibench.record.store import RunFile
    from xibench.run.parent import Watch


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
    from xibench.cli.progress import watching
    from xibench.run import parent

    with watching() as watch, _open(fresh, resume, watch) as run_file:
        parent.run(run_file.pending(), run_file, watch, calibrate=calibrate)
    return run_file.path


def print_plan(cases: tuple[Case, ...], rule: Rule, as_json: bool) -> None:
    """What would be measured, with what a step of each case costs."""
    from xibench.run.plan import costs

    rows = [(case, costs(case)) for case in cases]
    if as_json:
        print_json({"rule": rule, "plan": [{"case": case, "costs": cost} for case, cost in rows]})
        return
    from xibench.cli import format
    from xibench.cli.run_tables import plan_table

    format.show(plan_table(rows, rule))


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


def _open(fresh: Fresh | None, resume: Path | None, watch: Watch) -> RunFile:
    from xibench.run import start

    if fresh is None:
        assert resume is not None
        return start.resume(resume, watch)
    command = shlex.join(["xibench", *sys.argv[1:]])
    return start.start(fresh.cases, fresh.rule, fresh.preset, command, fresh.out)
