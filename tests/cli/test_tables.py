from __future__ import annotations

from tests.cli.rendering import rendered
from xibench.analysis.verify import Caught, Check, Report
from xibench.cli.render.tables import verify_tables


def test_a_broken_proof_names_the_worst_layer_and_the_mistake_that_went_unnoticed() -> None:
    fields = {
        "model": "xception", "variant": "default", "precision": "fp64", "what": "inference at 71", "tolerance": 1e-12,
        "errors": {},
    }  # fmt: skip
    good = Check(left="jax", right="pytorch", max_relative_error=3e-15, ok=True, worst="block2", **fields)
    bad = Check(left="jax", right="tensorflow", max_relative_error=2e-3, ok=False, worst="block7.sepconv1", **fields)
    missed = Caught(
        mistake="epsilon", model="xception", framework="jax", max_relative_error=0.0, tolerance=1e-12, caught=False
    )
    report = Report(ok=False, checks=[good, bad], mistakes=[missed], skipped=[])
    shown = "\n".join(rendered(table) for table in verify_tables(report))
    assert "BROKEN" in shown
    assert "block7.sepconv1" in shown
    assert "3.0e-15" in shown
    assert "MISSED" in shown
