"""The summary of the spectrum's reference run in docs/networks.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboards.runs import load
from dashboards.spectrum_summary import NAME, summary
from tests.dashboards.examples import header, ok, write
from xibench.errors import InputError
from xibench.record.documents import embed
from xibench.record.schema import Case

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results" / "reference" / "intel-xeon-avx512-2c" / "spectrum.jsonl"


def test_the_document_contains_the_summary_of_the_reference_run() -> None:
    document = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    assert embed(document, summary(load(REFERENCE)), NAME) == document


def test_a_row_has_the_costs_and_every_framework_with_its_interval() -> None:
    text = summary(load(REFERENCE))
    rows = [line for line in text.splitlines() if line.startswith("| C |")]
    assert len(rows) == 2  # at the paper's widths, at equal parameters
    assert all("22.9" in row and "8.36 G" in row and row.count("[") == 3 for row in rows)
    assert "It falls off most from g = 1 to g = 2" in text
    assert "n = 3 processes per case" in text


def test_a_run_without_a_spectrum_is_refused_in_one_line(tmp_path: Path) -> None:
    record = ok(Case(framework="pytorch", model="inception_v3"), [0.5] * 3)
    run = load(write(tmp_path / "run.jsonl", header([record.case]), [record]))
    with pytest.raises(InputError, match=r"contains no spectrum curve, .*; measure one with `xibench spectrum`"):
        summary(run)
