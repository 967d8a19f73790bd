"""A framework that is registered by a plugin is a framework everywhere, and no file of the product names it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.command import ROOT, Done, xibench_process
from xibench.record.store import read

NAME = "abacus"
PLUGIN = {
    "XIBENCH_PLUGINS": "toy_framework",
    "PYTHONPATH": os.pathsep.join((str(ROOT), str(Path(__file__).with_name("toy")))),
}


def command(*arguments: str, cwd: Path) -> Done:
    """The real command, in a process of its own, with the plugin loaded."""
    done = xibench_process(*arguments, cwd=cwd, **PLUGIN)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of the toy framework, by recipes `default` and `tuned`."""
    path = tmp_path_factory.mktemp("toy")
    command(
        "run", "-f", NAME, "-m", "xception", "--variant", "narrow", "--resolution", "75", "--batch", "1", "--images",
        "noise", "--device", "cpu", "--recipe", "default,tuned", "--min-steps", "2", "--budget", "0.1", "--half-width",
        "0", "--max-warmup-steps", "0", "--repeats", "0", "--out", "a.jsonl", cwd=path,
    )  # fmt: skip
    return path


def test_it_is_listed(tmp_path: Path) -> None:
    assert NAME in json.loads(command("list", "--json", cwd=tmp_path).stdout)["frameworks"]


def test_it_runs_passes_the_gate_and_has_no_ceilings_with_the_reason(folder: Path) -> None:
    run = read(folder / "a.jsonl")
    assert [(r.case.framework, r.status, r.reason) for r in run.records] == [(NAME, "ok", None)] * 2
    tuned = next(r for r in run.records if r.case.recipe == "tuned").processes[0]
    assert tuned.device_name == "abacus on cpu"
    assert tuned.equality is not None
    assert tuned.equality.rms_error <= tuned.equality.allowed_error
    assert all(record.costs.attainable_s is None and record.costs.absent["attainable_s"] for record in run.records)


def test_it_is_shown_exported_and_compared(folder: Path) -> None:
    assert NAME in command("show", "a.jsonl", cwd=folder).stdout
    shown = json.loads(command("show", "a.jsonl", "--json", cwd=folder).stdout)["records"]
    assert {record["case"]["framework"] for record in shown} == {NAME}
    command("export", "a.jsonl", "--out", "a.csv", cwd=folder)
    assert (folder / "a.csv").read_text(encoding="utf-8").count(NAME) >= 2
    compared = json.loads(command("compare", "a.jsonl", "a.jsonl", "--json", cwd=folder).stdout)
    assert [pair["case"]["framework"] for pair in compared["pairs"]] == [NAME, NAME]


def test_it_is_on_the_site_under_its_label(folder: Path) -> None:
    command("report", "a.jsonl", "--out", "site", cwd=folder)
    for page in ("index.html", "memory.html", "settings.html"):
        assert "Abacus" in (folder / "site" / page).read_text(encoding="utf-8"), page


def test_no_file_of_the_product_knows_it() -> None:
    packages = ("xibench", "frameworks", "dashboards", "benches")
    sources = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    assert not [path for path in sources if NAME in path.read_text(encoding="utf-8").lower()]
