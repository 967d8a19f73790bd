"""The options that several commands share, each with the line that its help says.

`SelectionOptions`, `SamplingOptions` and `RunFileOptions` are expanded into a command's own options by
`xibench.cli.expand`; `xibench.cli.planning` turns them into cases and a sampling rule.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from xibench.cli.parsers import (
    byte_count,
    count_from_zero,
    list_option,
    positive_seconds,
    share,
    whole_number,
)
from xibench.record.schema import DEFAULT_SCENARIO
from xibench.scenarios import SCENARIOS
from xibench.scenarios.scenario import DEFAULT_BATCH

RUNS: Final = Path("results/runs")
"""Where runs are written and looked for, under the current directory."""

SINGLE_IMAGE: Final = " and ".join(scenario.name for scenario in SCENARIOS.values() if scenario.single_image)
BOUNDED: Final = " and ".join(scenario.name for scenario in SCENARIOS.values() if "latency_bound_s" in scenario.options)

Names = list[str] | None
Numbers = list[int] | None

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="A network or operator; `xibench list` shows them.")]
Variant = Annotated[
    str, typer.Option(metavar="NAME", help="A configuration: names and fields joined by +, such as jft+width=0.5.")
]
Runs = Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="Run files; the newest if none is named.")]


@dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """What is measured: the names whose every combination is a case. None: not given."""

    framework: Annotated[
        Names,
        list_option(
            "-f", "--framework", metavar="NAME",
            help_text="Repeat or separate by commas, contenders too (`xibench list`); the three frameworks if left "
            "out.",
        ),
    ] = None  # fmt: skip
    model: Annotated[
        Names,
        list_option("-m", "--model", metavar="NAME", help_text="Networks, likewise; the paper's two if left out."),
    ] = None
    operator: Annotated[
        Names,
        list_option(
            "--operator", metavar="NAME", help_text="Single operators, at the shapes that their variants name."
        ),
    ] = None
    variant: Annotated[
        Names,
        list_option(
            "--variant", metavar="NAME",
            help_text="Configurations: names and fields joined by +, such as jft+width=0.5.  [default: default]",
        ),
    ] = None  # fmt: skip
    scenario: Annotated[
        Names,
        list_option(
            "--scenario", metavar="NAME", help_text=f"{', '.join(SCENARIOS)}.  [default: {DEFAULT_SCENARIO}]"
        ),
    ] = None  # fmt: skip
    recipe: Annotated[
        Names,
        list_option(
            "--recipe", metavar="NAME",
            help_text="default, compiled, tuned, or a file of `xibench tune`.  [default: default]",
        ),
    ] = None  # fmt: skip
    precision: Annotated[
        Names, list_option("--precision", metavar="NAME", help_text="fp64, fp32, tf32 (GPU), bf16.  [default: fp32]")
    ] = None
    batch: Annotated[
        Numbers,
        list_option(
            "--batch", metavar="N", item=whole_number,
            help_text=f"Images per step.  [default: {DEFAULT_BATCH}; 1 for {SINGLE_IMAGE}]",
        ),
    ] = None  # fmt: skip
    sweep: Annotated[
        bool | None, typer.Option("--sweep", help="Batches 1, 2, 4, … until memory runs out or --max-batch is done.")
    ] = None
    max_batch: Annotated[
        int | None, typer.Option(parser=whole_number, metavar="N", help="Largest batch of a sweep.  [default: 1024]")
    ] = None
    resolution: Annotated[
        Numbers,
        list_option(
            "--resolution", metavar="PX", item=whole_number,
            help_text="Pixels, square; each network's own if left out.",
        ),
    ] = None  # fmt: skip
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="auto, cpu, cuda.  [default: auto, a GPU if one is usable]")
    ] = None
    images: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="`sample` (two photographs), `noise`, or a folder of photographs: its files by name, then its "
            "subfolders', as many as the largest batch has images.  [default: sample]",
        ),
    ] = None
    weights: Annotated[str | None, typer.Option(metavar="FILE", help="safetensors, or seed:N.  [default: seed:0]")] = (
        None
    )
    seed: Annotated[
        int | None, typer.Option(parser=count_from_zero, metavar="N", help="Of everything random in measuring.")
    ] = None
    latency_bound: Annotated[
        float | None,
        typer.Option(
            parser=positive_seconds, metavar="S",
            help=f"Scenario {BOUNDED}: seconds that p99 must stay within; a multiple of a lone query's time if left "
            "out.",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """How long and how often each case is measured. None: as the scenario, preset or search has it."""

    processes: Annotated[
        int | None, typer.Option(parser=whole_number, metavar="N", help="Fresh processes a case, interleaved.")
    ] = None
    repeats: Annotated[
        int | None,
        typer.Option(parser=count_from_zero, metavar="N", help="Further processes for disturbed ones, a case."),
    ] = None
    max_warmup_steps: Annotated[
        int | None,
        typer.Option(
            parser=count_from_zero, metavar="N", help="Discarded steps at most, while a trend is seen in them."
        ),
    ] = None
    min_steps: Annotated[int | None, typer.Option(parser=whole_number, metavar="N", help="Timed steps, at least.")] = (
        None
    )
    budget: Annotated[
        float | None, typer.Option(parser=positive_seconds, metavar="S", help="Seconds of timed steps, once enough.")
    ] = None
    half_width: Annotated[
        float | None,
        typer.Option(
            parser=share, metavar="SHARE",
            help="Enough steps once half the median's interval is below this share of it; 0: never.",
        ),
    ] = None  # fmt: skip
    time_limit: Annotated[
        float | None,
        typer.Option(parser=positive_seconds, metavar="S", help="Seconds after which a process is given up."),
    ] = None
    memory_limit: Annotated[
        int | None,
        typer.Option(
            parser=byte_count, metavar="BYTES",
            help="Resident set at which a process counts as out of memory, such as 8GiB; most of what is free if left "
            "out.",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RunFileOptions:
    """Which run file is written, anew or further, or only planned."""

    no_ceilings: Annotated[
        bool, typer.Option("--no-ceilings", help="Do not measure the device's ceilings; `attained` stays empty.")
    ] = False
    out: Annotated[Path, typer.Option("--out", metavar="PATH", help="Run file (.jsonl) or folder to write.")] = RUNS
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="FILE", help="Go on with a run file's own plan.")
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and what a step of each case costs.")] = (
        False
    )


def print_json(document: Any) -> None:
    """Writes one indented JSON document to stdout. Takes msgspec Structs, dataclasses and builtins."""
    import msgspec

    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    sys.stdout.buffer.flush()


def run_paths(names: Iterable[str] | None) -> list[Path]:
    """The run files that are meant, `latest` if none is named. Raises StoreError if there is none."""
    return [run_path(name) for name in names or ["latest"]]


def run_path(name: str) -> Path:
    """The run file that is meant: a path, or `latest` for the newest of results/runs. Raises StoreError without one."""
    from xibench.record.store import latest

    return latest(RUNS) if name == "latest" else Path(name)
