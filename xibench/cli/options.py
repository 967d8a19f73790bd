"""The options that several commands share, each with its line of help, and the parsers of option values.

Each parser raises typer.BadParameter with the value received and the values expected.

Typer reads a command's options from its signature, one parameter per option. Shared options are therefore declared
once, as fields of a dataclass that are annotated as typer expects its parameters, and `expand_options` replaces a
parameter of that type by its fields:

    @expand_options
    def run(*, selection: SelectionOptions, sampling: Annotated[SamplingOptions, Only("processes")]) -> None: ...

`xibench.cli.planning` turns the values into cases and a SamplingConfig.
"""

from __future__ import annotations

import functools
import inspect
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import typer

from frameworks.api import FRAMEWORKS
from frameworks.architectures import MODELS
from xibench.record.schema import DEFAULT_SCENARIO, SamplingConfig
from xibench.scenarios import SCENARIOS
from xibench.scenarios.scenario import DEFAULT_BATCH

BYTES: Final = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
FEW_BYTES: Final = 2**20  # a smaller number without a unit is hardly meant as bytes
SECONDS: Final = {"": 1.0, "s": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0}
LONG_LATENCY_S: Final = 10.0  # a larger number without a unit may be meant as milliseconds
RUNS: Final = Path("results/runs")
"""Where runs are written and looked for, relative to the current directory."""

SINGLE_IMAGE: Final = " and ".join(scenario.name for scenario in SCENARIOS.values() if scenario.single_image)
LATENCY_BOUND: Final = " and ".join(s.name for s in SCENARIOS.values() if "latency_bound_s" in s.options)

Names = list[str] | None
Numbers = list[int] | None

Json = Annotated[bool, typer.Option("--json", help="Write one JSON document to stdout, and nothing else.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="A network or operator; `xibench list` names them.")]
Variant = Annotated[
    str, typer.Option(metavar="NAME", help="A variant, or names and settings joined by +, such as jft+width=0.5.")
]
Runs = Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="Run files.  [default: the newest run]")]


def list_option(
    *names: str,
    metavar: str,
    help_text: str,
    item: Callable[[str], Any] = str,
    check: Callable[[Sequence[str]], None] | None = None,
    declare: Callable[..., Any] = typer.Option,
) -> Any:
    """Declare an option that may be repeated and whose values may be lists separated by commas.

    Args:
        names: Names of the option, such as `-f` and `--framework`.
        metavar: Placeholder of a value in the help.
        help_text: Help of the option.
        item: Parser of one value.
        check: Raises typer.BadParameter if a list separated by commas cannot be meant as one; None: any list can.
        declare: typer.Option, or typer.Argument for arguments.

    Returns:
        The annotation of a parameter `list[T] | None`. The parameter is None if the option was not given, otherwise the
        distinct values in order. An option without any value is refused.
    """

    def parsed(text: str) -> tuple[Any, ...]:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if check:
            check(parts)
        return tuple(item(part) for part in parts)

    return declare(*names, metavar=metavar, help=help_text, parser=parsed, callback=_join)


def _join(lists: Iterable[tuple[Any, ...]] | None) -> list[Any] | None:
    """Join the lists of all occurrences of an option, without duplicates."""
    if not lists:
        return None
    joined = list(dict.fromkeys(value for values in lists for value in values))
    if not joined:
        raise typer.BadParameter("received an empty list, expected one or more, separated by commas")
    return joined


def no_comma_for_plus(variants: Sequence[str]) -> None:
    """Refuse variants of which several only set a field, and not the same one: + was meant, as in width=0.5+classes=10.

    Both are meant if the option is repeated, as in `--variant width=0.5 --variant classes=10`.
    """
    fields = {text.partition("=")[0] for text in variants if "=" in text and "+" not in text}
    if len(fields) > 1:
        raise typer.BadParameter(
            f"received {','.join(variants)}, which is {len(variants)} variants; write {'+'.join(variants)} for one "
            "variant with these settings, or repeat the option for several"
        )


def whole_number(text: str | int, minimum: int = 1) -> int:
    """Parse a whole number of at least `minimum`. (The message of typer's own `min` for no number names no range.)"""
    try:
        number = int(text)
    except ValueError:
        number = minimum - 1
    if number < minimum:
        raise typer.BadParameter(f"received {text}, expected a whole number of at least {minimum}")
    return number


def count_from_zero(text: str | int) -> int:
    """Parse a whole number of at least 0."""
    return whole_number(text, minimum=0)


def segments_or_c(text: str) -> int:
    """Parse a number of segments; C stands for one segment per channel."""
    from xibench.analysis.spectrum import EXTREME

    if text.upper() == "C":
        return EXTREME
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise typer.BadParameter(f"received {text}, expected whole numbers from 1 up, or C (one per channel)")
    return int(text)


def positive_seconds(text: str | float) -> float:
    """Parse a time, finite and above 0, as seconds or with one of the units ms, s, min and h."""
    given = str(text).strip()
    number = given.rstrip("himns ")
    value = _number(number) * SECONDS.get(given[len(number) :].strip(), math.nan)
    if not 0 < value < math.inf:
        raise typer.BadParameter(f"received {text}, expected seconds above 0, or a number with ms, s, min or h")
    return value


def latency_seconds(text: str | float) -> float:
    """Parse a bound of a latency: as `positive_seconds`, but a large number must have its unit."""
    value, plain = positive_seconds(text), not math.isnan(_number(text))
    if plain and value >= LONG_LATENCY_S:
        raise typer.BadParameter(f"received {text} without a unit: write {text}ms or {text}s")
    return value


def share(text: str | float) -> float:
    """Parse a share in [0, 1), as a number or as a percentage such as 1%."""
    given = str(text).strip()
    value = _number(given[:-1]) / 100 if given.endswith("%") else _number(given)
    if not 0 <= value < 1:
        raise typer.BadParameter(f"received {text}, expected a share from 0 up and below 1, such as 0.01 or 1%")
    return value


def byte_count(text: str | int) -> int:
    """Parse an amount of memory: a number with B, KiB, MiB, GiB or TiB, or a large number of bytes."""
    given = str(text).strip()
    number = given.rstrip("BKMGTi ")
    if number == given and 0 < _number(given) < FEW_BYTES:
        raise typer.BadParameter(f"received {text} without a unit: write {text}GiB, or {text}B if it is bytes")
    value = _number(number) * BYTES.get(given[len(number) :].strip(), math.nan)
    if not 1 <= value < math.inf:
        raise typer.BadParameter(f"received {text}, expected bytes, or a number with MiB or GiB, such as 8GiB")
    return round(value)


def _number(text: str | float) -> float:
    """Return the number, or NaN, which is in no range, if the text is not a number."""
    try:
        return float(text)
    except ValueError:
        return math.nan


class Only:
    """Annotation: the fields of a dataclass that a command offers; the other fields keep their defaults."""

    def __init__(self, *names: str) -> None:
        self.names = names


def expand_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace each parameter of a command that is a dataclass of options by the dataclass's fields.

    Args:
        command: A function of keyword arguments, annotated as typer expects; some parameters may be dataclasses, which
            `Only` may restrict.

    Returns:
        The same command with one parameter per option, which builds the dataclasses and calls `command` with them.
    """
    parameters: list[inspect.Parameter] = []
    groups: dict[str, tuple[type, list[str]]] = {}  # parameter of the command: its dataclass, and the options offered
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        kind, *extras = get_args(hints[name]) if get_origin(hints[name]) is Annotated else (hints[name],)
        if not (isinstance(kind, type) and is_dataclass(kind)):
            parameters.append(parameter.replace(annotation=hints[name]))
            continue

        # The fields of a dataclass of options, in their order
        known = {field.name: field for field in fields(kind)}
        offered = next((extra.names for extra in extras if isinstance(extra, Only)), tuple(known))
        if unknown := set(offered) - set(known):
            raise TypeError(f"{kind.__name__} has no option {', '.join(sorted(unknown))}")
        groups[name] = kind, [option for option in known if option in offered]
        types = get_type_hints(kind, include_extras=True)
        parameters += [
            inspect.Parameter(
                option, inspect.Parameter.KEYWORD_ONLY, default=known[option].default, annotation=types[option]
            )
            for option in groups[name][1]
        ]

    @functools.wraps(command)
    def expanded(**values: Any) -> None:
        for name, (kind, options) in groups.items():
            values[name] = kind(**{option: values.pop(option) for option in options})
        command(**values)

    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return expanded


def sampling_default(field: str) -> str:
    """Return the default of a sampling setting for its help, such as `[default: 10; 120 for single-stream]`."""
    usual = getattr(SamplingConfig(), field)
    others = {s.name: value for s in SCENARIOS.values() if (value := getattr(s.sampling, field)) != usual}
    others = {name: 0 if value is None else value for name, value in others.items()}
    return f"[default: {'; '.join([f'{usual:g}', *(f'{value:g} for {name}' for name, value in others.items())])}]"


@dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """Options that select the cases: every combination of their values. None if an option was not given."""

    framework: Annotated[
        Names,
        list_option(
            "-f", "--framework", metavar="NAME",
            help_text="Frameworks or third-party implementations; repeat the option or separate names by commas.  "
            f"[default: {', '.join(FRAMEWORKS)}]",
        ),
    ] = None  # fmt: skip
    model: Annotated[
        Names,
        list_option(
            "-m", "--model", metavar="NAME",
            help_text=f"Networks.  [default: {', '.join(name for name, model in MODELS.items() if model.main)}]",
        ),
    ] = None  # fmt: skip
    operator: Annotated[
        Names,
        list_option("--operator", metavar="NAME", help_text="Single operators; their variants name the shapes."),
    ] = None
    variant: Annotated[
        Names,
        list_option(
            "--variant", metavar="NAME", check=no_comma_for_plus,
            help_text="Variants, or names and settings joined by +, such as jft+width=0.5.  [default: default]",
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
            help_text="Execution settings: default, compiled, tuned, or a recipe file of `xibench tune`.  "
            "[default: default]",
        ),
    ] = None  # fmt: skip
    precision: Annotated[
        Names,
        list_option("--precision", metavar="NAME", help_text="fp64, fp32, tf32 (GPU only), bf16.  [default: fp32]"),
    ] = None
    batch: Annotated[
        Numbers,
        list_option(
            "--batch", metavar="N", item=whole_number,
            help_text=f"Images per step; always 1 for {SINGLE_IMAGE}.  [default: {DEFAULT_BATCH}]",
        ),
    ] = None  # fmt: skip
    sweep: Annotated[
        bool | None,
        typer.Option("--sweep", help="Measure batches 1, 2, 4, … until memory runs out or --max-batch is reached."),
    ] = None
    max_batch: Annotated[
        int | None, typer.Option(parser=whole_number, metavar="N", help="Largest batch of --sweep.  [default: 1024]")
    ] = None
    resolution: Annotated[
        Numbers,
        list_option(
            "--resolution", metavar="PX", item=whole_number,
            help_text="Width and height of the images in pixels.  [default: each network's own]",
        ),
    ] = None  # fmt: skip
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="auto, cpu, cuda.  [default: auto, a GPU if one is usable]")
    ] = None
    images: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Input images: `sample` (two photos), `noise`, or a folder of JPEG or PNG files, which are read by "
            "name, then those of its subfolders, as many as the largest batch needs.  [default: sample]",
        ),
    ] = None
    weights: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A safetensors file, or seed:N for seeded weights.  [default: seed:0]"),
    ] = None
    seed: Annotated[
        int | None,
        typer.Option(
            parser=count_from_zero, metavar="N", help="Seed of everything random in a measurement.  [default: 0]"
        ),
    ] = None
    latency_bound: Annotated[
        float | None,
        typer.Option(
            parser=latency_seconds, metavar="S",
            help=f"For {LATENCY_BOUND}: upper bound of the p99 latency, in seconds, or such as 200ms.  "
            "[default: a multiple of the latency of a single query]",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Options that set how long and how often each case is measured. None: the default of the scenario or preset."""

    processes: Annotated[
        int | None,
        typer.Option(
            parser=whole_number, metavar="N",
            help="Fresh processes per case, interleaved with those of other cases.  " + sampling_default("processes"),
        ),
    ] = None  # fmt: skip
    repeats: Annotated[
        int | None,
        typer.Option(
            parser=count_from_zero, metavar="N",
            help="Processes per case that may be repeated because they were disturbed.  " + sampling_default("repeats"),
        ),
    ] = None  # fmt: skip
    max_warmup_steps: Annotated[
        int | None,
        typer.Option(
            parser=count_from_zero, metavar="N",
            help="Maximum number of warm-up steps; fewer if step times show no trend.  "
            + sampling_default("max_warmup_steps"),
        ),
    ] = None  # fmt: skip
    min_steps: Annotated[
        int | None,
        typer.Option(
            parser=whole_number, metavar="N",
            help="Minimum number of timed steps per process.  " + sampling_default("min_steps"),
        ),
    ] = None  # fmt: skip
    budget: Annotated[
        float | None,
        typer.Option(
            parser=positive_seconds, metavar="S",
            help="Seconds after which no further step is timed, once --min-steps are done.  "
            + sampling_default("budget_s"),
        ),
    ] = None  # fmt: skip
    half_width: Annotated[
        float | None,
        typer.Option(
            parser=share, metavar="SHARE",
            help="Stop once the half-width of the median's 95 % interval is below this share of the median, such as "
            "0.01 or 1%; 0: never.  " + sampling_default("half_width"),
        ),
    ] = None  # fmt: skip
    time_limit: Annotated[
        float | None,
        typer.Option(
            parser=positive_seconds, metavar="S",
            help="Seconds after which a process is killed.  " + sampling_default("time_limit_s"),
        ),
    ] = None  # fmt: skip
    memory_limit: Annotated[
        int | None,
        typer.Option(
            parser=byte_count, metavar="BYTES",
            help="Resident set size at which a process counts as out of memory, such as 8GiB.  [default: most of the "
            "free memory]",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RunFileOptions:
    """Options of the run file: where to create it, which one to resume, or whether to print the plan only."""

    no_ceilings: Annotated[
        bool,
        typer.Option("--no-ceilings", help="Do not measure the device's roofline; the column `attained` stays empty."),
    ] = False
    out: Annotated[Path, typer.Option("--out", metavar="PATH", help="Run file (.jsonl) or folder to write.")] = RUNS
    resume: Annotated[
        Path | None,
        typer.Option("--resume", metavar="FILE", help="Resume a run file: measure what its plan still needs."),
    ] = None
    total_budget: Annotated[
        float | None,
        typer.Option(
            "--total-budget", parser=positive_seconds, metavar="S",
            help="Seconds that this call may take: no process starts that would not end in time. Exit code 0 also if "
            "some are left, which --resume measures.",
        ),
    ] = None  # fmt: skip
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the cases and what a step of each costs; measure nothing.")
    ] = False


def print_json(document: Any) -> None:
    """Write one indented JSON document to stdout; it may hold msgspec Structs, dataclasses and builtins."""
    import msgspec

    from xibench.record.text import encode

    sys.stdout.buffer.write(msgspec.json.format(encode(document), indent=2) + b"\n")
    sys.stdout.buffer.flush()


def run_paths(names: Iterable[str] | None) -> list[Path]:
    """Return the paths of the named run files, or of the newest one. Raises NoSuchFile if there is none."""
    return [run_path(name) for name in names or ["latest"]]


def run_path(name: str) -> Path:
    """Return the path of a run file; `latest` is the newest of results/runs. Raises NoSuchFile if there is none."""
    from xibench.record.store import latest

    return latest(RUNS) if name == "latest" else Path(name)
