"""`verify` accepts correct networks and detects wrong ones; all tests use the real frameworks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from frameworks.api import FRAMEWORKS
from frameworks.architectures import OPERATORS
from frameworks.errors import UnknownName
from tests.analysis.reports import assert_within_tolerance, verified_networks
from xibench.analysis import forward
from xibench.analysis import verify as verify_
from xibench.analysis.checks import KERAS, OURS, array_errors, relative_error
from xibench.analysis.mistakes import MISTAKES
from xibench.analysis.verify import EqualityReport, Part, verify, verify_networks
from xibench.analysis.verify_workers import Workers
from xibench.errors import XibenchError
from xibench.run.gate import rms_error
from xibench.workers.messages import ForwardPass

SMALL = "channels=24+features=16+segments=3"
UNEVEN = ("xception", "narrow+pointwise_first+segments_3")


@pytest.fixture(scope="module")
def report() -> EqualityReport:
    """Report on both networks, narrow, with all seeded mistakes; a variant with uneven segments; all small operators.

    It is a single report so that the frameworks' processes start only once.
    """
    networks = [("xception", "narrow"), ("inception_v3", "narrow"), UNEVEN, *((name, SMALL) for name in OPERATORS)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify_, "_paper_network", lambda model, *_: mistake_parts(model))
        return verify_networks([*networks, ("xception", "default"), ("inception_v3", "default")])


def mistake_parts(model: str) -> list[Part]:
    """Return only those parts of the verification of a network that seed mistakes, which use its narrow variant."""
    return [partial(verify_._mistakes, model, training, lambda line: None) for training in (False, True)]


def test_operators_are_equal_in_every_framework_and_a_mistake_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two operators and two mistakes; the tests of `report` have all of them, and whole networks."""
    operators = [(name, SMALL) for name in ("separable", "inception_segments")]
    mistakes = [mistake for mistake in MISTAKES if mistake.model == "xception" and not mistake.training][:2]
    monkeypatch.setattr(verify_, "MISTAKES", mistakes)
    parts = [partial(verify_._mistakes, "xception", False, lambda line: None)]
    monkeypatch.setattr(verify_, "_paper_network", lambda model, *_: parts)
    found = verify_networks([*operators, ("xception", "default")])
    assert set(operators) <= verified_networks(found)
    assert_within_tolerance(found.checks)
    caught = {(c.mistake, c.framework) for c in found.mistakes if c.caught}
    assert caught == {(mistake.name, framework) for mistake in mistakes for framework in FRAMEWORKS}


@pytest.mark.slow
@pytest.mark.parametrize("model", ["xception", "inception_v3"])
def test_all_three_frameworks_compute_the_same_block_by_block(model: str, report: EqualityReport) -> None:
    assert report.ok
    assert report.skipped == []
    found = [c for c in report.checks if (c.model, c.variant) == (model, "narrow")]
    assert_within_tolerance(found)
    inference = next(c for c in found if c.what.startswith("inference") and c.precision == "fp64")
    assert "head" in inference.errors
    assert len(inference.errors) > 10
    assert any(c.what.startswith("training") and any("variance" in name for name in c.errors) for c in found)


@pytest.mark.slow
def test_at_least_twelve_mistakes_are_detected_in_each_framework(report: EqualityReport) -> None:
    caught = {(c.mistake, c.framework) for c in report.mistakes if c.caught}
    assert len(MISTAKES) >= 12
    assert caught == {(m.name, framework) for m in MISTAKES for framework in FRAMEWORKS}


def test_errors_are_relative_to_the_largest_value_and_infinite_for_nan_and_missing_arrays() -> None:
    correct = np.array([1.0, -4.0])
    assert relative_error(np.array([1.0, -4.4]), correct) == pytest.approx(0.1)
    assert relative_error(np.array([np.nan, -4.0]), correct) == float("inf")
    assert relative_error(np.array([1.0]), correct) == float("inf")
    assert array_errors({}, {"head": correct}) == {"head": float("inf")}
    assert rms_error(np.array([1.0, -4.4]), correct) == pytest.approx(0.4 / np.sqrt(17))
    assert rms_error(np.array([np.nan, -4.0]), correct) == float("inf")


@pytest.mark.slow
def test_the_graphs_that_a_run_times_are_compared_with_the_reference_in_float64(report: EqualityReport) -> None:
    graphs = [c for c in report.checks if c.what.startswith("whole graph")]
    assert {c.right for c in graphs} == {"reference float64"}
    for framework in FRAMEWORKS:
        found = {(c.left, c.precision) for c in graphs if c.left.startswith(framework)}
        assert found == {
            (f"{framework} default", "fp64"), (f"{framework} default", "fp32"),
            (f"{framework} tuned", "fp64"), (f"{framework} tuned", "fp32"), (f"{framework} tuned", "bf16"),
        }  # fmt: skip


@pytest.mark.slow
def test_uneven_segments_and_pointwise_first_are_compared_in_training_mode_too(report: EqualityReport) -> None:
    assert UNEVEN in verified_networks(report)
    (training,) = {c.what for c in report.checks if (c.model, c.variant) == UNEVEN and c.what.startswith("training")}
    assert training == "training mode at 112"


@pytest.mark.slow
def test_every_operator_is_verified(report: EqualityReport) -> None:
    assert {(name, SMALL) for name in OPERATORS} <= verified_networks(report)


@pytest.mark.parametrize("uncompiled", [True, False])
def test_a_recipe_can_be_verified_without_its_slow_compiler(
    uncompiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled_models: list[object] = []

    def compiled(model: object, **_: object) -> object:
        compiled_models.append(model)
        return model

    monkeypatch.setattr("torch.compile", compiled)
    job = ForwardPass(
        model="xception", variant="narrow", resolution=75, precision="fp64", recipe="tuned", uncompiled=uncompiled
    )
    assert set(forward.run("pytorch", job)) == {"head"}
    assert bool(compiled_models) is not uncompiled


def test_a_single_framework_verifies_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    present = ("pytorch",)

    class SingleWorker:
        missing = {name: f"{name} is not installed" for name in (*OURS, KERAS) if name not in present}  # noqa: RUF012

        def __init__(self, names: Sequence[str], folder: Path) -> None: ...
        def __enter__(self) -> SingleWorker:
            return self

        def __exit__(self, *raised: object) -> None: ...
        def ask(self, names: Sequence[str], *_: object) -> dict[str, dict[str, np.ndarray]]:
            return {name: {"head": np.ones(3)} for name in names if name in present}

    monkeypatch.setattr("xibench.analysis.verify.Workers", SingleWorker)
    report = verify(["xception"], ["narrow"])
    assert not report.ok
    assert report.skipped[-1] == "nothing was verified: a comparison requires at least two frameworks"


def test_a_worker_that_dies_ends_the_verification_while_others_are_still_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(framework: str) -> list[str]:
        return ["/bin/sh", "-c", "sleep 1; exit 3"] if framework == "jax" else ["/bin/sh", "-c", "exec sleep 3600"]

    monkeypatch.setattr("xibench.workers.session.worker_command", command)
    with pytest.raises(XibenchError, match=r"jax.* exited with code 3"):
        verify(["xception"])
    remaining = [child.cmdline() for child in psutil.Process().children(recursive=True)]
    assert ["sleep", "3600"] not in remaining, "the busy workers were not killed"


def test_an_unknown_network_is_refused_before_any_process_starts() -> None:
    with pytest.raises(UnknownName, match="unknown model 'xcepton': did you mean xception"):
        verify(["xcepton"])


def test_a_missing_framework_is_skipped_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "__init__.py").write_text("raise ModuleNotFoundError('no jax', name='jax')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    job = ForwardPass(model="xception", resolution=71, precision="fp32", variant="narrow")
    with Workers(("pytorch", "jax"), tmp_path) as workers:
        assert set(workers.ask(("pytorch", "jax"), job)) == {"pytorch"}
        assert set(workers.ask(("pytorch", "jax"), job)) == {"pytorch"}
        assert workers.missing["jax"].startswith("jax: module 'jax' is not installed; pip install")


def test_a_workers_death_is_one_line_with_its_last_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["/bin/sh", "-c", "echo out of luck; exit 3"]
    monkeypatch.setattr("xibench.workers.session.worker_command", lambda framework: command)
    with Workers(("pytorch",), tmp_path) as workers, pytest.raises(XibenchError) as raised:
        workers.ask(("pytorch",), ForwardPass(model="xception", resolution=71, precision="fp32"))
    assert "exited with code 3" in str(raised.value)
    assert str(raised.value).endswith("; its last output: out of luck")
    assert "\n" not in str(raised.value)
