from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.cli.command import said
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
    """A proof that is broken without taking minutes; returns the models that it is asked for."""
    asked: list[Sequence[str] | None] = []

    def verify(
        models: Sequence[str] | None = None, *, on_progress: Callable[[str], None], **_: object
    ) -> EqualityReport:
        asked.append(models)
        on_progress("xception at 71")
        return BROKEN

    monkeypatch.setattr("xibench.analysis.verify.verify", verify)
    return asked


def test_a_broken_proof_ends_with_one_and_is_shown(
    broken: list[Sequence[str] | None], capfd: pytest.CaptureFixture[str]
) -> None:
    assert app.call(["verify", "xception"]) == 1
    shown = capfd.readouterr()
    assert "BROKEN" in shown.out
    assert "caught" in shown.out
    assert "skipped: tensorflow: not installed" in shown.out
    assert shown.err == "xception at 71\n"
    assert broken == [["xception"]]


def test_the_json_has_the_shape_that_scripts_rely_on_and_stands_alone_on_stdout(
    broken: list[Sequence[str] | None], capfd: pytest.CaptureFixture[str]
) -> None:
    assert app.call(["verify", "--json"]) == 1
    found = json.loads(capfd.readouterr().out)
    assert found["ok"] is False
    keys = {"model", "left", "right", "precision", "what", "max_relative_error", "tolerance", "ok"}
    assert keys <= set(found["checks"][0])
    assert broken == [None]


def test_a_proof_that_holds_ends_with_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = EqualityReport(ok=True, checks=[], mistakes=[], skipped=[])
    monkeypatch.setattr("xibench.analysis.verify.verify", lambda *_, **__: whole)
    assert app.call(["verify"]) == 0


def test_an_unknown_network_is_refused_with_the_nearest(tmp_path: Path) -> None:
    line = said("verify", "xeption", cwd=tmp_path, code=2)
    assert "unknown model 'xeption'" in line
    assert "xception" in line
