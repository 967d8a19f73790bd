from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.cli.command import error_of
from xibench.analysis.checks import Caught, Check
from xibench.analysis.verify import EqualityReport
from xibench.cli import app

CHECK = Check(
    model="xception", variant="default", left="pytorch", right="jax", precision="fp64", what="inference at 71",
    max_relative_error=1e-3, tolerance=1e-12, ok=False, worst="block2", errors={"block2": 1e-3},
)  # fmt: skip
CAUGHT = Caught(
    mistake="epsilon", model="xception", framework="jax", max_relative_error=1.0, tolerance=1e-12, caught=True
)
BROKEN = EqualityReport(ok=False, checks=[CHECK], mistakes=[CAUGHT], skipped=["tensorflow: not installed"])


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str] | None]:
    """Replace the proof by one that fails at once; returns the list of models that were requested."""
    requested: list[Sequence[str] | None] = []

    def verify(
        models: Sequence[str] | None = None, *, on_progress: Callable[[str], None], **_: object
    ) -> EqualityReport:
        requested.append(models)
        on_progress("xception at 71")
        return BROKEN

    monkeypatch.setattr("xibench.analysis.verify.verify", verify)
    return requested


def test_a_broken_proof_is_shown_and_ends_with_exit_code_1(
    broken: list[Sequence[str] | None], capfd: pytest.CaptureFixture[str]
) -> None:
    assert app.call(["verify", "xception"]) == 1
    shown = capfd.readouterr()
    assert "BROKEN" in shown.out
    assert "caught" in shown.out
    assert "skipped: tensorflow: not installed" in shown.out
    assert shown.err == "xception at 71\n"
    assert broken == [["xception"]]


def test_the_json_has_the_shape_that_scripts_rely_on_and_is_all_of_stdout(
    broken: list[Sequence[str] | None], capfd: pytest.CaptureFixture[str]
) -> None:
    assert app.call(["verify", "--json"]) == 1
    found = json.loads(capfd.readouterr().out)
    assert found["ok"] is False
    keys = {"model", "left", "right", "precision", "what", "max_relative_error", "tolerance", "ok"}
    assert keys <= set(found["checks"][0])
    assert broken == [None]


def test_a_complete_proof_ends_with_exit_code_0(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = EqualityReport(ok=True, checks=[], mistakes=[], skipped=[])
    monkeypatch.setattr("xibench.analysis.verify.verify", lambda *_, **__: whole)
    assert app.call(["verify"]) == 0


def test_an_unknown_network_is_refused_and_the_nearest_is_suggested(tmp_path: Path) -> None:
    line = error_of("verify", "xeption", cwd=tmp_path, code=2)
    assert "unknown model 'xeption'" in line
    assert "xception" in line
