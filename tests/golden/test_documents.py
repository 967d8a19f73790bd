"""All `--json` documents and the figures of committed runs, on whose keys and values scripts rely."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.builders import small_case
from tests.cli.command import ROOT, Done, xibench
from tests.golden.golden import Golden
from xibench.analysis.checks import Caught, Check
from xibench.analysis.doctor import DoctorReport
from xibench.analysis.verify import EqualityReport
from xibench.cli.render import comparison_tables
from xibench.record.comparison import Compared, Comparison, NotCompared
from xibench.record.recipe_file import RecipeFile

REFERENCE = "results/reference"
OLDEST = f"{REFERENCE}/amd-epyc-avx512-2c/quick-0.1.jsonl"  # in format 1, which is migrated on reading
QUICK = f"{REFERENCE}/amd-epyc-avx512-2c/quick.jsonl"
NIGHTLY = f"{REFERENCE}/amd-epyc-avx512-2c/nightly.jsonl"
SPECTRUM = f"{REFERENCE}/intel-xeon-avx512-2c/spectrum.jsonl"

DOCUMENTS = {
    "cost-xception": ("cost", "xception"),
    "cost-separable-batch-8-bf16": ("cost", "separable", "--batch", "8", "--precision", "bf16"),
    "cost-separable-roofline": ("cost", "separable", "--layers", "--batch", "8", "--run", QUICK),
    "run-dry-run": ("run", "-f", "jax,pytorch", "-m", "xception", "--device", "cpu", "--dry-run"),
    "run-dry-run-quick": ("run", "--preset", "quick", "--device", "cpu", "--dry-run"),
    "spectrum-dry-run": ("spectrum", "-f", "jax", "--segments", "1,4,C", "--device", "cpu", "--dry-run"),
    "tune-dry-run": ("tune", "jax/xception/narrow", "--batch", "1", "--device", "cpu", "--dry-run"),
    "paper": ("paper", OLDEST),
    "show-oldest": ("show", OLDEST),
    "show-quick": ("show", QUICK),
    "spectrum": ("spectrum", SPECTRUM),
    "compare": ("compare", QUICK, NIGHTLY),
    "compare-unlike": ("compare", OLDEST, QUICK, "--allow-unlike"),
}
RUNS = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("quick*.jsonl", "nightly*.jsonl", "spectrum.jsonl", "run.jsonl")
    for path in (ROOT / REFERENCE).rglob(pattern)
)
ANYTHING = {"title": "anything"}
CHECK = Check(
    model="xception", variant="default", left="pytorch", right="jax", precision="fp64", what="inference at 71",
    max_relative_error=1e-3, tolerance=1e-12, ok=False, worst="block2", errors={"block2": 1e-3},
)  # fmt: skip
CAUGHT = Caught(
    mistake="epsilon", model="xception", framework="jax", max_relative_error=1.0, tolerance=1e-12, caught=True
)
COMPARED = Compared(
    case=small_case(), ratio=1.05, low=1.04, high=1.06, verdict="slower", p=0.0001, n=12, paired=True, detectable=0.02,
    unlike=["threads 2 -> 1"], changed=["torch 2.12.0 -> 2.13.0"], notes=["1 pair was disturbed"],
)  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_unchanged(name: str, golden: Golden) -> None:
    found = document(xibench(*DOCUMENTS[name], "--json", cwd=ROOT))
    if "estimate" in found:  # of wall time: it depends on the machine and its earlier runs
        assert found["estimate"].pop("seconds") > 0
        del found["estimate"]["known_cases"]
    golden.document(f"documents/{name}.json", found)


def test_the_inventory_is_unchanged_apart_from_installed_versions(golden: Golden) -> None:
    found = document(xibench("list", "--json", cwd=ROOT))
    for versions in found["versions"].values():
        versions.update(dict.fromkeys(versions, "as installed"))
    golden.document("documents/list.json", found)


def test_an_ab_comparison_is_unchanged(golden: Golden, capsys: pytest.CaptureFixture[str]) -> None:
    refused = NotCompared(case=small_case("jax"), why=["jax: not installed"], failed=True)
    found = Comparison(base="git:main", new="tree", threshold=0.02, pairs=[COMPARED], not_compared=[refused], slower=1)
    comparison_tables.show(found, as_json=True, as_markdown=False)
    golden.document("documents/ab.json", json.loads(capsys.readouterr().out))


def test_a_verification_report_is_unchanged(golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    report = EqualityReport(ok=False, checks=[CHECK], mistakes=[CAUGHT], skipped=["tensorflow: not installed"])
    monkeypatch.setattr("xibench.analysis.verify.verify", lambda *_, **__: report)
    golden.document("documents/verify.json", document(xibench("verify", "xception", "--json", cwd=ROOT)))


@pytest.mark.parametrize("kind", [DoctorReport, Comparison, EqualityReport, RecipeFile], ids=lambda kind: kind.__name__)
def test_the_schema_of_a_document_is_unchanged(kind: type, golden: Golden) -> None:
    """Compares keys, types and nullability, which do not depend on the machine. `doctor` prints a DoctorReport."""
    schema = msgspec.json.schema(kind, schema_hook=lambda _: ANYTHING)
    for entry in schema["$defs"].values():
        entry.pop("description", None)  # the docstring
    golden.document(f"schemas/{kind.__name__}.json", schema)


@pytest.mark.parametrize("run", RUNS)
def test_the_figures_of_a_committed_run_are_unchanged(
    run: str, golden: Golden, tmp_path: Path
) -> None:
    done = xibench("export", ROOT / run, "--out", "run.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    name = run.removeprefix(f"{REFERENCE}/").replace("/", "-").replace(".jsonl", ".csv")
    golden.text(f"figures/{name}", (tmp_path / "run.csv").read_text().replace(f"{ROOT}/", ""))


def document(done: Done) -> Any:
    """Parse the JSON document that a command printed; there is nothing else on stdout."""
    assert done.stdout, done.stderr
    return json.loads(done.stdout)
