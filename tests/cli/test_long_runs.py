"""Runs with very many steps: every command that reads them takes memory for the steps, and no page grows with them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import append, calibration, header, record, small_case
from tests.cli.command import ROOT, xibench
from xibench.record.schema import SamplingConfig
from xibench.record.store import RunFile

STEPS = 100_000
MEMORY_BYTES = 700 * 2**20  # 2,000 resamples of so many steps at once took 2,400 MiB
PAGE_BYTES = 1_000_000


@pytest.fixture(scope="module")
def long_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return two runs of two processes, with a slow step in the middle of the first process."""
    folder, rng = tmp_path_factory.mktemp("long"), random.Random(0)
    steps = [[5e-5 * rng.lognormvariate(0, 0.05) for _ in range(STEPS)] for _ in range(2)]
    steps[0][STEPS // 2] = 1.0
    paths = []
    for name in ("base", "new"):
        head = header([small_case()], SamplingConfig(processes=2), run_id=name * 4)
        with RunFile.create(folder / f"{name}.jsonl", head) as run_file:
            run_file.append(calibration())
            append(run_file, record(small_case(), *steps))
        paths.append(run_file.path)
    return paths[0], paths[1]


MEASURED = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=sys.stderr)
_, status, used = os.wait4(process.pid, 0)
print(os.waitstatus_to_exitcode(status), used.ru_maxrss)
"""
"""Runs a command from a small process, because the peak of a process begins with that of the one that started it."""

COMMANDS = {
    "show": ("show", "BASE"),
    "show --json": ("show", "BASE", "--json"),
    "compare": ("compare", "BASE", "NEW"),
    "export": ("export", "BASE", "--out", "cases.csv"),
    "export --samples": ("export", "BASE", "NEW", "--samples", "--out", "samples.parquet"),
    "report": ("report", "BASE", "--out", "site"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_takes_memory_for_the_steps_and_not_for_their_resamples(
    name: str, long_runs: tuple[Path, Path], tmp_path: Path
) -> None:
    files = dict(zip(("BASE", "NEW"), map(str, long_runs), strict=True))
    words = [files.get(word, word) for word in COMMANDS[name]]
    with (tmp_path / "output").open("wb") as output:
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, sys.executable, "-m", "xibench", *words], cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=output, text=True, check=False,
        )  # fmt: skip
    code, max_rss_kib = map(int, done.stdout.split())
    assert code == 0, (tmp_path / "output").read_text()
    assert max_rss_kib * 1024 < MEMORY_BYTES


def test_a_page_shows_as_many_steps_as_fit_and_says_which(long_runs: tuple[Path, Path], tmp_path: Path) -> None:
    assert xibench("report", long_runs[0], "--out", "site", cwd=tmp_path).returncode == 0
    pages = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "site").glob("*.html")}
    assert max(len(text.encode()) for text in pages.values()) < PAGE_BYTES
    assert "of each stretch of consecutive steps, the fastest and the slowest" in pages["latency.html"]
    assert "timed: 1,000.00 ms" in pages["latency.html"]  # the slow step is among those that are shown


def test_a_page_of_a_usual_run_shows_every_step_and_says_nothing_of_it(tmp_path: Path) -> None:
    case = small_case()
    with RunFile.create(tmp_path / "run.jsonl", header([case])) as run_file:
        append(run_file, record(case, [0.1 + 1e-5 * step for step in range(500)]))
    assert xibench("report", "run.jsonl", "--out", "site", cwd=tmp_path).returncode == 0
    page = (tmp_path / "site" / "latency.html").read_text(encoding="utf-8")
    assert page.count("process 1, timed") == 500
    assert "of each stretch" not in page
