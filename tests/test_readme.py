"""What the README shows is what the product makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benches.claims import readme as claims
from dashboards.headline import BEGIN, END, headline
from dashboards.runs import load
from xibench.record.store import read

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference"
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "results" / "README.md"])


def test_the_headline_table_is_the_one_that_its_reference_run_gives() -> None:
    shown = README.split(BEGIN)[1].split(END)[0].strip()
    named = re.search(r"Run `([^`]+)`", shown)
    assert named, "the README's table names no run: python -m dashboards.headline RUN README.md"
    stored = [path for path in REFERENCE.glob("*/*.jsonl") if path.name != "claims.jsonl"]
    runs = [path for path in stored if read(path).header.run_id == named[1]]
    assert runs, f"no file in results/reference is the run {named[1]}"
    assert shown == headline(load(runs[0]))


def test_the_figures_of_the_claims_are_those_of_their_programs() -> None:
    shown = README.split(claims.BEGIN)[1].split(claims.END)[0].strip()
    kept = [path for path in REFERENCE.glob("*/claims.jsonl") if shown == claims.table(claims.load(path))]
    assert kept, "no claims.jsonl in results/reference gives the README's table: python -m benches.claims.readme"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_inside_the_repository_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


def test_every_command_that_the_readme_names_exists() -> None:
    from typer.main import get_command

    from xibench.cli.app import app

    known = set(get_command(app).commands)
    named = set(re.findall(r"^    xibench ([a-z]+)|`xibench ([a-z]+)", README, re.MULTILINE))
    assert {first or second for first, second in named} <= known
