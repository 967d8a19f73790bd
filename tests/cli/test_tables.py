from __future__ import annotations

import msgspec

from tests.cli.rendering import rendered
from xibench.analysis.checks import Caught, Check
from xibench.analysis.verify import EqualityReport
from xibench.cli.render.tables import verify_tables


def test_a_broken_proof_names_the_worst_layer_and_the_mistake_that_was_not_caught() -> None:
    good = Check(
        model="xception", variant="default", left="jax", right="pytorch", precision="fp64", what="inference at 71",
        max_relative_error=3e-15, tolerance=1e-12, ok=True, worst="block2", errors={},
    )  # fmt: skip
    bad = msgspec.structs.replace(
        good, right="tensorflow", max_relative_error=2e-3, ok=False, worst="block7.sepconv1"
    )
    missed = Caught(
        mistake="epsilon", model="xception", framework="jax", max_relative_error=0.0, tolerance=1e-12, caught=False
    )
    report = EqualityReport(ok=False, checks=[good, bad], mistakes=[missed], skipped=[])
    shown = "\n".join(rendered(table) for table in verify_tables(report))
    assert "BROKEN" in shown
    assert "block7.sepconv1" in shown
    assert "3.0e-15" in shown
    assert "MISSED" in shown
