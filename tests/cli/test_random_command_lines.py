"""Random command lines, drawn from the options of all commands: each ends as the documentation of exit codes says."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import typer
from PIL import Image

from frameworks.api import IMPLEMENTATIONS
from tests.builders import append, calibration, failure, header, record, small_case
from tests.cli import instant_worker
from tests.cli.command import Done, xibench
from xibench.cli import app
from xibench.record import recipe_file
from xibench.record.recipe_file import RecipeFile
from xibench.record.schema import SamplingConfig
from xibench.record.store import RunFile
from xibench.scenarios import SCENARIOS

EXIT_CODES: Final = (0, 1, 2, 3, 130)  # xibench.errors
LINES: Final = 200
PARTS: Final = 8  # of the test, which run in parallel
ODD: Final = 0.05  # share of values that are drawn from ODD_VALUES, whatever the parameter takes
ODD_VALUES: Final = (
    "", "x", "-", "--", "-1", "0", "a,b", ",", "a+b=1", "=", "%s", "{}", "\n", os.fsdecode(b"caf\xe9"), "ü", "1" * 400,
    "1.5", "1e3", "1e400", "nan", "-inf", "0x10", "1_0", "\u0663", " 2 ", "1000000000", "9" * 30, "5%", "200%",
    "200ms", "1h", "8GiB", "a" * 300, "/proc/no/such", "text.txt", "folder",
)  # fmt: skip
PATHS: Final = (
    "out.jsonl", "out.csv", "out.parquet", "out.json", "new", "new/out.jsonl", "folder", "run.jsonl",
    "unfinished.jsonl", "missing/out.csv", "damaged.jsonl",
)  # fmt: skip
RUNS: Final = ("run.jsonl", "other.jsonl", "unfinished.jsonl") * 4 + ("latest", "damaged.jsonl", "newer.jsonl")
MODELS: Final = ("xception", "separable", "grouped", "inception_v3")
SIDES: Final = (
    "tree", "recipe:default", "recipe:tuned", "recipe:recipe.json", "framework:reference", "framework:jax+tuned",
    "git:HEAD", "git:none", "python:missing",
)  # fmt: skip
RECIPE: Final = RecipeFile(
    format=recipe_file.FORMAT, xibench="0.2.0", created_utc="2025-01-02T03:04:05+00:00", framework="jax",
    recipe="tuned", case=small_case("jax"), machine="acme-cpu-2c", environment="0" * 16,
)  # fmt: skip
VALUES: Final[dict[str, tuple[str, ...]]] = {
    "framework": (*IMPLEMENTATIONS, "reference"),
    "model": ("xception", "inception_v3"),
    "cost model": MODELS,
    "models": MODELS,
    "operator": ("separable", "grouped"),
    "variant": ("default", "narrow", "width=0.5", "channels=8+features=8", "segments=4", "middle_728_728", "all"),
    "scenario": tuple(SCENARIOS),
    "recipe": ("default", "compiled", "tuned", "default+threads=2", "recipe.json"),
    "precision": ("fp32", "bf16", "fp64", "tf32"),
    "device": ("cpu", "auto", "cuda"),
    "preset": ("quick", "nightly"),
    "images": ("noise", "sample", "photos", "folder"),
    "weights": ("seed:0", "seed:7", "text.txt"),
    "ab base": SIDES,
    "ab new": SIDES,
    "base": RUNS,
    "new": RUNS,
    "case": ("jax/separable", "pytorch/separable/middle_728_728", "jax/xception/narrow", "reference/xception"),
    "choice": ("threads", "compiler"),
    "memory_limit": ("8GiB", "1TiB"),
    "resolution": ("75", "96", "8", "299"),
    "resume": RUNS,
    "run": RUNS,
    "runs": RUNS,
}  # fmt: skip
"""Values by the name of a parameter, or of command and parameter. One that is not listed gets values of its type."""


def leaves(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command with the words that name it."""
    group = group or typer.main.get_command(app.app)
    if not hasattr(group, "list_commands"):
        yield path, group
        return
    context = typer.Context(group)
    for name in group.list_commands(context):
        yield from leaves(group.get_command(context, name), (*path, name))


COMMANDS: Final = dict(leaves())


def value(command: str, parameter: Any, rng: random.Random) -> str:
    """Draw a value of a command's parameter: mostly one that it takes."""
    if rng.random() < ODD:
        return rng.choice(ODD_VALUES)
    annotation = str(parameter.type_descriptor.annotation)
    if known := VALUES.get(f"{command} {parameter.name}", VALUES.get(parameter.name)):
        several = rng.choice((1, 1, 1, 2, 3)) if parameter.multiple else 1
        return ",".join(rng.choice(known) for _ in range(several))
    if "int" in annotation:
        return str(rng.randint(1, 4))
    if "float" in annotation:
        return f"{rng.uniform(0.01, 0.99):.2g}"
    return rng.choice(PATHS if "Path" in annotation else ODD_VALUES)


def command_line(rng: random.Random) -> list[str]:
    """Draw a command with a few of its options and arguments."""
    names = sorted(COMMANDS)
    (path,) = rng.choices(names, [2 + len(COMMANDS[name].params) for name in names])
    options: list[list[str]] = []
    arguments: list[str] = []
    share = rng.choice((0.05, 0.15, 0.3))
    for parameter in COMMANDS[path].params:
        if not parameter.opts[0].startswith("-"):
            number = 1 if parameter.nargs == 1 else rng.choice((1, 2, 3))
            left_out = rng.random() < (0.05 if parameter.required else 0.4)
            arguments += [value(path[0], parameter, rng) for _ in range(0 if left_out else number)]
        elif rng.random() < (0.95 if parameter.required else share):
            given = [] if parameter.is_flag else [value(path[0], parameter, rng)]
            options.append([rng.choice(parameter.opts), *given])
    rng.shuffle(options)
    return [*path, *(word for option in options for word in option), *arguments]


@contextmanager
def workplace() -> Iterator[tuple[Path, Path]]:
    """Yield a folder with files of every kind that a command may be given, and an empty folder for temporary files."""
    with tempfile.TemporaryDirectory(prefix="commands-") as made:
        folder, temporary = Path(made, "work"), Path(made, "tmp")
        for name in ("", "folder", "photos"):
            (folder / name).mkdir()
        temporary.mkdir()
        (folder / "text.txt").write_bytes(b"\xffno run file\n")
        recipe_file.write(folder / "recipe.json", RECIPE)
        Image.new("RGB", (40, 40)).save(folder / "photos" / "a.png")
        cases = [small_case("pytorch"), small_case("jax"), small_case("reference")]
        for name, measured in (("run", 3), ("other", 2), ("unfinished", 1), ("damaged", 1)):
            head = header(cases, SamplingConfig(repeats=0), run_id=name * 4)
            with RunFile.create(folder / f"{name}.jsonl", head) as run_file:
                run_file.append(calibration())
                append(run_file, *[record(case) for case in cases[: measured - 1]], failure(cases[measured - 1]))
        with (folder / "damaged.jsonl").open("ab") as file:
            file.write(b'{"type":"attempt"}\n')
        newer = msgspec.json.encode(msgspec.structs.replace(header(cases), format_version=99))
        (folder / "newer.jsonl").write_bytes(newer + b"\n")
        yield folder, temporary


def contents(folder: Path) -> dict[str, bytes | None]:
    """Return the files of a folder with their contents, and its folders with None."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in folder.rglob("*")
    }


def run_line(words: list[str], folder: Path, temporary: Path) -> Done:
    """Run a command line in this process, with instant workers."""
    with pytest.MonkeyPatch.context() as patch:
        instant_worker.install(patch)
        patch.setattr(tempfile, "tempdir", str(temporary))
        return xibench(*words, cwd=folder, TMPDIR=str(temporary))


@pytest.mark.parametrize("part", range(PARTS))
def test_a_command_line_ends_with_a_known_exit_code_one_line_and_nothing_left_behind(part: int) -> None:
    for seed in range(part, LINES, PARTS):
        words = command_line(random.Random(seed))
        with workplace() as (folder, temporary):
            before = contents(folder)
            done = run_line(words, folder, temporary)
            assert not faults(done, before, folder, temporary), f"xibench {words}: {done.stderr}"


def faults(done: Done, before: dict[str, bytes | None], folder: Path, temporary: Path) -> list[str]:
    """Return what is wrong with how a command ended."""
    errors = [line for line in done.stderr.splitlines() if line.startswith("xibench: ")]
    other_lines = [line for line in done.stderr.splitlines() if line not in errors and not line.startswith("warning: ")]
    refused = done.returncode == 2
    wrong = {
        "the exit code is not documented": done.returncode not in EXIT_CODES,
        "there is more than one line of error": len(errors) > 1,
        "a failure has no line of error": refused and not errors,
        "a success has a line of error": done.returncode in (0, 3) and bool(errors),
        "there is a traceback": "Traceback" in done.stdout + done.stderr,
        "temporary files are left": any(temporary.iterdir()),
        "a refused command has written something": refused and contents(folder) != before,
        "a refused command has printed more": refused and bool(done.stdout or other_lines),
    }
    return [fault for fault, is_so in wrong.items() if is_so]
