"""Text from outside that is no UTF-8 or has control characters or markup: it breaks no line, table, page or file."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from tests.builders import ENVIRONMENT, append, attempt, calibration, failure, header, process, small_case
from tests.cli.command import ROOT, Done, error_of, xibench
from tests.processes import GENEROUS_S
from xibench.record.schema import Record, SamplingConfig, Substitution
from xibench.record.store import RunFile, read
from xibench.record.text import printable

NAMES = {
    "not UTF-8": os.fsdecode(b"caf\xe9"),
    "line break": "a\nb",
    "control sequence": "\x1b[31mred\x07",
    "markup": "<script>alert(1)<!--",
    "rich": "[red]x[bold]|`y`",
    "right to left": "a\u202eb\u2028c",
}
COMMANDS = {
    "show": ("show", "RUN"),
    "show --json": ("show", "RUN", "--json"),
    "show --csv": ("show", "RUN", "--csv"),
    "export csv": ("export", "RUN", "--out", "OUT.csv"),
    "export parquet": ("export", "RUN", "--out", "OUT.parquet"),
    "export samples": ("export", "RUN", "--samples", "--out", "OUT.parquet"),
    "report": ("report", "RUN", "--out", "OUT"),
    "compare": ("compare", "RUN", "BASE", "--allow-unlike"),
    "compare, unlike": ("compare", "RUN", "BASE"),
    "compare --markdown": ("compare", "RUN", "BASE", "--allow-unlike", "--markdown"),
    "compare --json": ("compare", "RUN", "BASE", "--json"),
    "cost --run": ("cost", "xception", "--run", "RUN"),
    "paper": ("paper", "RUN"),
    "spectrum": ("spectrum", "RUN"),
    "no such run": ("show", "MISSING"),
    "no run file": ("show", "OTHER"),
    "no such recipe file": ("run", "--dry-run", "-f", "jax", "-m", "xception", "--recipe", "MISSING.json"),
    "no such model": ("cost", "NAME"),
    "no such side": ("ab", "--base", "python:NAME"),
}


def write_run(path: Path, name: str, run_id: str = "0123456789abcdef", variant: str = "narrow") -> Path:
    """Write a run file in which every text that may come from outside is or contains `name`."""
    case = msgspec.structs.replace(small_case(), variant=variant)
    made = msgspec.structs.replace(
        process(), device_name=name, versions={"python": name}, settings={"threads": name},
        substitutions=[Substitution(wanted=name, why=name, ran=name)], absent={"compile_s": name, "peak_bytes": name},
    )  # fmt: skip
    environment = msgspec.structs.replace(
        ENVIRONMENT, cpu_model=name, os=name, kernel=name, variables={"XLA_FLAGS": name}, packages={"torch": name}
    )
    whole = header([case, small_case("jax")], SamplingConfig(), run_id)
    whole = msgspec.structs.replace(
        whole, environment=environment, command=f"xibench run {name}",
        images=msgspec.structs.replace(whole.images, source=name, files=[name]),
    )  # fmt: skip
    with RunFile.create(path, whole) as run_file:
        run_file.append(calibration())
        measured = Record(case=case, attempts=[attempt(case, made=made, disturbed=[f"{name} took 9 %"])])
        append(run_file, measured, failure(small_case("jax"), reason=name, log=name))
    return run_file.path


def run_command(command: str, folder: Path, name: str) -> Done:
    """Run a command on run files whose names and texts are hostile."""
    variant = "narrow" if command == "report" else name  # pages need a network that exists
    base = write_run(folder / f"base{name}.jsonl", name, "fedcba9876543210", variant)
    run = write_run(folder / f"{name}.jsonl", name, variant=variant)
    other = folder / f"{name}.txt"
    other.write_bytes(b'"\xe9"\n')
    words = {"RUN": str(run), "BASE": str(base), "MISSING": f"missing{name}", "OTHER": str(other), "NAME": name}
    given = [word.replace("OUT", f"out{name}").replace("MISSING.json", f"{name}.json") for word in COMMANDS[command]]
    given = [words.get(word, word.replace("NAME", name)) for word in given]
    return xibench(*given, cwd=folder)


def unprintable(text: str) -> set[str]:
    """The characters that a terminal or an editor would not show as a character of this line."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in "\u202e\u2066"} - {"\n"}


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_prints_the_same_lines_whatever_names_and_texts_hold(
    command: str, kind: str, tmp_path: Path
) -> None:
    done = run_command(command, tmp_path, NAMES[kind])
    (tmp_path / "plain").mkdir()
    plain = run_command(command, tmp_path / "plain", "x" * len(printable(NAMES[kind])))
    assert done.returncode == plain.returncode, done.stderr
    assert not unprintable(done.stderr)
    assert done.stderr.count("\n") == plain.stderr.count("\n"), done.stderr
    if command in ("export csv", "export parquet", "export samples", "report"):
        assert (tmp_path / done.stdout.removesuffix("\n")).exists()  # a program that reads the path finds the file
    elif command == "show --csv":
        assert len(list(csv.DictReader(io.StringIO(done.stdout, newline="")))) == 2
    elif command.endswith("--json"):
        json.loads(done.stdout)
        assert "\x1b" not in done.stdout
    else:
        assert not unprintable(done.stdout), done.stdout
        assert done.stdout.count("\n") == plain.stdout.count("\n"), done.stdout


@pytest.mark.parametrize("kind", NAMES)
def test_no_page_of_a_site_has_an_element_or_a_character_of_a_name(kind: str, tmp_path: Path) -> None:
    assert run_command("report", tmp_path, NAMES[kind]).returncode == 0
    (site,) = tmp_path.glob("out*")
    pages = list(site.glob("*.html"))
    assert pages
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "<script>alert" not in text
        assert not unprintable(text)


@pytest.mark.parametrize("kind", NAMES)
def test_a_run_file_has_a_line_of_valid_json_for_each_attempt(kind: str, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.jsonl", NAMES[kind])
    lines = path.read_bytes().decode("utf-8").split("\n")
    assert [json.loads(line)["type"] for line in lines[:-1]] == ["header", "calibration", "attempt", "attempt"]
    (_, failed) = read(path).records
    assert failed.reason == ("caf\\xe9" if kind == "not UTF-8" else NAMES[kind])


@pytest.mark.parametrize("kind", ["not UTF-8", "line break", "control sequence"])
def test_a_run_in_folders_with_hostile_names_measures_and_records_a_command_that_can_be_typed(
    kind: str, tmp_path: Path
) -> None:
    name = NAMES[kind]
    images, temporary = tmp_path / "images", tmp_path / f"tmp{name}"
    images.mkdir()
    temporary.mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "picture.png")
    (tmp_path / "picture.png").rename(images / f"{name}.png")
    words = [
        "run", "-f", "reference", "-m", "xception", "--variant", "narrow", "--resolution", "96", "--batch", "1",
        "--images", "images", "--no-ceilings", "--repeats", "0", "--min-steps", "1", "--budget", "0.01",
        "--max-warmup-steps", "0", "--out", f"{name}.jsonl",
    ]  # fmt: skip

    def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        variables = {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), "XLA_FLAGS": name}
        return subprocess.run(
            [sys.executable, "-m", "xibench", *arguments], cwd=tmp_path, env={**os.environ, **variables},
            capture_output=True, timeout=GENEROUS_S, check=False,
        )  # fmt: skip

    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert not unprintable((done.stdout + done.stderr).decode("utf-8"))
    assert not list(temporary.iterdir())
    stored = read(tmp_path / f"{name}.jsonl")
    assert [record.status for record in stored.records] == ["ok"]
    typed = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {stored.header.command}"], capture_output=True, check=True
    ).stdout.split(b"\0")[:-1]
    assert typed == [b"xibench", *map(os.fsencode, words)]

    resumed = run("run", "--resume", f"{name}.jsonl")  # images and environment are found to be those of the header
    assert resumed.returncode == 0, resumed.stderr
    assert b"warning" not in resumed.stderr


@pytest.mark.parametrize("option", ["--images", "--weights"])
def test_a_folder_or_file_that_a_run_file_cannot_name_is_refused_with_a_cure(option: str, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9")
    path.touch()
    line = error_of("run", "-f", "jax", option, path, "--out", "out", cwd=tmp_path, code=2)
    assert "caf\\xe9" in line
    assert "ln -s" in line
    assert not (tmp_path / "out").exists()
