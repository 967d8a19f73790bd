"""The options of `xibench run`, each with the line that its help says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from xibench.cli.options import byte_count, count_from_zero, positive_seconds, share, whole_number
from xibench.record.schema import DEFAULT_SCENARIO
from xibench.scenarios import SCENARIOS
from xibench.scenarios.scenario import DEFAULT_BATCH

SINGLE_IMAGE: Final = " and ".join(scenario.name for scenario in SCENARIOS.values() if scenario.single_image)
BOUNDED: Final = " and ".join(scenario.name for scenario in SCENARIOS.values() if "latency_bound_s" in scenario.options)
Names = list[str] | None

PresetName = Annotated[
    str | None, typer.Option("--preset", metavar="NAME", help="A named selection; other options replace its parts.")
]

# What is measured
Frameworks = Annotated[
    Names,
    typer.Option(
        "-f", "--framework", metavar="NAME",
        help="Repeat or separate by commas, contenders too (`xibench list`); the three frameworks if left out.",
    ),
]  # fmt: skip
Models = Annotated[
    Names, typer.Option("-m", "--model", metavar="NAME", help="Networks, likewise; the paper's two if left out.")
]
Operators = Annotated[
    Names,
    typer.Option("--operator", metavar="NAME", help="Single operators, at the shapes that their variants name."),
]
Variants = Annotated[
    Names,
    typer.Option(
        "--variant", metavar="NAME",
        help="Configurations: names and fields joined by +, such as jft+width=0.5.  [default: default]",
    ),
]  # fmt: skip
Scenarios = Annotated[
    Names,
    typer.Option(
        "--scenario", metavar="NAME", help=f"{', '.join(SCENARIOS)}.  [default: {DEFAULT_SCENARIO}]"
    ),
]  # fmt: skip
Recipes = Annotated[
    Names,
    typer.Option(
        "--recipe", metavar="NAME", help="default, compiled, tuned, or a file of `xibench tune`.  [default: default]"
    ),
]  # fmt: skip
TunedRecipes = Annotated[
    Names,
    typer.Option(
        "--recipe", metavar="NAME", help="default, compiled, tuned, or a file of `xibench tune`.  [default: tuned]"
    ),
]  # fmt: skip
PRECISION_HELP: Final = "fp64, fp32, tf32 (GPU), bf16.  [default: fp32]"
Precisions = Annotated[Names, typer.Option("--precision", metavar="NAME", help=PRECISION_HELP)]
Batches = Annotated[
    Names,
    typer.Option("--batch", metavar="N", help=f"Images per step.  [default: {DEFAULT_BATCH}; 1 for {SINGLE_IMAGE}]"),
]
Sweep = Annotated[
    bool | None, typer.Option("--sweep", help="Batches 1, 2, 4, … until memory runs out or --max-batch is done.")
]
MaxBatch = Annotated[
    int | None, typer.Option(parser=whole_number, metavar="N", help="Largest batch of a sweep.  [default: 1024]")
]
Resolutions = Annotated[
    Names, typer.Option("--resolution", metavar="PX", help="Pixels, square; each network's own if left out.")
]
Device = Annotated[
    str | None, typer.Option(metavar="NAME", help="auto, cpu, cuda.  [default: auto, a GPU if one is usable]")
]
Images = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="`sample` (two photographs), `noise`, or a folder of photographs: its files by name, then its "
        "subfolders', as many as the largest batch has images.  [default: sample]",
    ),
]
Weights = Annotated[str | None, typer.Option(metavar="FILE", help="safetensors, or seed:N.  [default: seed:0]")]
Seed = Annotated[
    int | None, typer.Option(parser=count_from_zero, metavar="N", help="Of everything random in measuring.")
]
LatencyBound = Annotated[
    float | None,
    typer.Option(
        parser=positive_seconds, metavar="S",
        help=f"Scenario {BOUNDED}: seconds that p99 must stay within; a multiple of a lone query's time if left out.",
    ),
]  # fmt: skip

# How long and how often
Processes = Annotated[
    int | None, typer.Option(parser=whole_number, metavar="N", help="Fresh processes a case, interleaved.")
]
Repeats = Annotated[
    int | None, typer.Option(parser=count_from_zero, metavar="N", help="Further processes for disturbed ones, a case.")
]
MaxWarmupSteps = Annotated[
    int | None,
    typer.Option(parser=count_from_zero, metavar="N", help="Discarded steps at most, while a trend is seen in them."),
]
MinSteps = Annotated[int | None, typer.Option(parser=whole_number, metavar="N", help="Timed steps, at least.")]
Budget = Annotated[
    float | None, typer.Option(parser=positive_seconds, metavar="S", help="Seconds of timed steps, once enough.")
]
HalfWidth = Annotated[
    float | None,
    typer.Option(
        parser=share, metavar="SHARE",
        help="Enough steps once half the median's interval is below this share of it; 0: never.",
    ),
]  # fmt: skip
TimeLimit = Annotated[
    float | None, typer.Option(parser=positive_seconds, metavar="S", help="Seconds after which a process is given up.")
]
MemoryLimit = Annotated[
    int | None,
    typer.Option(
        parser=byte_count, metavar="BYTES",
        help="Resident set at which a process counts as out of memory, such as 8GiB; most of what is free if left out.",
    ),
]  # fmt: skip
NoCeilings = Annotated[
    bool, typer.Option("--no-ceilings", help="Do not measure the device's ceilings; `attained` stays empty.")
]

# The run file
Out = Annotated[Path, typer.Option("--out", metavar="PATH", help="Run file (.jsonl) or folder to write.")]
Resume = Annotated[Path | None, typer.Option("--resume", metavar="FILE", help="Go on with a run file's own plan.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and what a step of each case costs.")]
