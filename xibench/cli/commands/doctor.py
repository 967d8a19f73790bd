"""`xibench doctor`: what this machine can measure, and what limits it."""

from __future__ import annotations

from typing import Annotated

import typer

from xibench.cli.options import Json, print_json

Details = Annotated[
    bool,
    typer.Option(
        "--details",
        help="Also list what each recipe sets here and why, and the fields of a record that stay empty, with the "
        "reason and what would fill them.",
    ),
]


AsvMachine = Annotated[
    str | None,
    typer.Option(
        "--asv-machine", metavar="NAME",
        help="Write this machine under a name into asv's file of machines (~/.asv-machine.json), with its GPUs, driver "
        "and CPU features, which `asv machine` does not know; then `asv run --machine NAME`.",
    ),
]  # fmt: skip


def doctor(details: Details = False, as_json: Json = False, asv_machine: AsvMachine = None) -> None:
    """Check what this machine can measure, and what is missing or would disturb a run.

    Lists frameworks, devices and conditions, and for everything missing or disturbing its effect and remedy. The last
    line says whether the machine is fit to measure now.

    \b
    Example:  xibench doctor
              xibench doctor --asv-machine nightly-1
    """
    if asv_machine is not None:
        _write_asv_machine(asv_machine)
        return
    from xibench.analysis.doctor import diagnose

    found = diagnose()
    if as_json:
        print_json(found)
        return
    from xibench.cli.render import terminal
    from xibench.cli.render.tables import doctor_tables

    for table in doctor_tables(found, details):
        terminal.show(table)
    if not details:
        empty = sum(len(group.fields) for group in found.empty)
        terminal.say(f"Fields of a record that stay empty here: {empty}; --details lists them, and what recipes set.")
    terminal.say(found.conclusion)


def _write_asv_machine(name: str) -> None:
    """Add or replace a machine in asv's file of machines and print what was written."""
    from pathlib import Path

    from xibench.analysis.asv_machine import describe, write
    from xibench.cli.render import terminal

    path = Path.home() / ".asv-machine.json"
    described = describe(name)
    write(path, described)
    terminal.say(f"{path}: machine {name}, {described['cpu']}, {described['num_cpu']} CPUs, GPU: {described['gpu']}")
