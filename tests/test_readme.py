"""The generated parts of the README and docs are up to date, and their links exist."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from benches.claims import latency, recipes, recipes_doc, speed, speed_gpu
from benches.claims import readme as claims
from dashboards.headline import BEGIN, END, headline
from dashboards.runs import load
from xibench.record.documents import embed
from xibench.record.store import read

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference"
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "results" / "README.md"])


def test_the_headline_table_is_that_of_its_reference_run() -> None:
    shown = README.split(BEGIN)[1].split(END)[0].strip()
    named = re.search(r"Run `([^`]+)`", shown)
    assert named, "the README's table names no run: python -m dashboards.headline RUN README.md"
    stored = [path for path in REFERENCE.glob("*/*.jsonl") if path.name != "claims.jsonl"]
    runs = [path for path in stored if read(path).header.run_id == named[1]]
    assert runs, f"no file in results/reference is the run {named[1]}"
    assert shown == headline(load(runs[0]))


def test_the_table_of_claims_is_that_of_the_kept_answers() -> None:
    answers = claims.load(*REFERENCE.glob("*/claims.jsonl"))
    made = embed(README, claims.table(answers), claims.NAME)
    assert made == README, "python -m benches.claims.readme results/reference/*/claims.jsonl README.md"


def test_the_generated_part_of_docs_recipes_is_that_of_the_kept_answers() -> None:
    document = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    answers = claims.load(*REFERENCE.glob("*/claims.jsonl"))
    made = embed(document, recipes_doc.text(answers), recipes_doc.NAME)
    assert made == document, "python -m benches.claims.recipes_doc results/reference/*/claims.jsonl docs/recipes.md"


@pytest.mark.parametrize("claim", [speed, latency, recipes, speed_gpu])
def test_the_figures_of_a_claim_follow_from_its_kept_runs(claim: ModuleType) -> None:
    for kept in REFERENCE.glob(f"*/{claim.CLAIM.name}"):
        found = msgspec.json.decode(msgspec.json.encode(claim.CLAIM.derive(kept)))
        assert found == claims.load(kept.parent / "claims.jsonl")[claim.CLAIM.name]["figures"], kept


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_inside_the_repository_exist(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target
