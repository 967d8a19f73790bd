"""The proof of equality: it holds for the right networks and has teeth for wrong ones. Real frameworks throughout."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from frameworks.api import FRAMEWORKS
from frameworks.architectures import OPERATORS
from frameworks.errors import UnknownName
from tests.analysis.proofs import proven
from xibench.analysis import forward
from xibench.analysis import verify as verify_
from xibench.analysis.checks import KERAS, OURS, Check, array_errors
from xibench.analysis.mistakes import MISTAKES
from xibench.analysis.verify import EqualityReport, Part, prove, verify
from xibench.analysis.verify_workers import Workers
from xibench.errors import XibenchError
from xibench.measure.deviation import relative_error, rms_error
from xibench.workers.messages import ForwardPass

SMALL = "channels=24+features=16+segments=3"
UNEVEN = ("xception", "narrow+pointwise_first+segments_3")


@pytest.fixture(scope="module")
def proof() -> EqualityReport:
    """Both networks, narrow, and every mistake in them; a variant of uneven segments; every operator, small.

    At once, so that the frameworks' processes start once.
    """
    networks = [("xception", "narrow"), ("inception_v3", "narrow"), UNEVEN, *((name, SMALL) for name in OPERATORS)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify_, "_paper_network", lambda model, *_: mistakes_of(model))
        return prove([*networks, ("xception", "default"), ("inception_v3", "default")])


def mistakes_of(model: str) -> list[Part]:
    """Of the proof of a whole network the seeded mistakes alone, which are seeded in its narrow variant."""
    return [partial(verify_._mistakes, model, training, lambda line: None) for training in (False, True)]


@pytest.mark.parametrize("model", ["xception", "inception_v3"])
def test_all_three_frameworks_compute_the_same_block_by_block(model: str, proof: EqualityReport) -> None:
    assert proof.ok
    assert proof.skipped == []
    found = [c for c in proof.checks if (c.model, c.variant) == (model, "narrow")]
    held_within(found)
    inference = next(c for c in found if c.what.startswith("inference") and c.precision == "fp64")
    assert "head" in inference.errors
    assert len(inference.errors) > 10
    assert any(c.what.startswith("training") and any("variance" in name for name in c.errors) for c in found)


@pytest.mark.slow
def test_both_networks_at_full_width_are_those_of_every_framework_the_reference_and_keras() -> None:
    """Each at the least of METHOD's sizes; with it, whole graphs of every recipe."""
    whole = prove([("xception", "default"), ("inception_v3", "default")], {"xception": (71,), "inception_v3": (75,)})
    assert whole.ok
    assert whole.skipped == []
    for model in ("xception", "inception_v3"):
        found = [c for c in whole.checks if c.model == model]
        assert held_within(found) == {frozenset(two) for two in itertools.combinations((*OURS, KERAS), 2)}
    xception = [c for c in whole.checks if c.model == "xception"]
    inference = next(c for c in xception if c.what.startswith("inference") and c.precision == "fp64")
    training = next(c for c in xception if c.what.startswith("training") and c.right == "keras")
    assert set(inference.errors) == {*(f"block{i}" for i in range(1, 15)), "head"}
    assert "block9.sepconv2.bn.variance" in training.errors


def held_within(checks: Sequence[Check]) -> set[frozenset[str]]:
    """Asserts that every check is within METHOD's tolerance, and returns the pairs that were compared in fp32."""
    fp64 = [c for c in checks if c.precision == "fp64"]
    fp32 = [c for c in checks if c.precision == "fp32" and "rms" not in c.what]
    assert fp64
    assert all(c.max_relative_error <= 1e-12 for c in fp64)
    assert all(c.max_relative_error <= 1e-5 for c in fp32)
    return {frozenset((c.left, c.right)) for c in fp32 if not c.what.startswith("whole graph")}


def test_at_least_twelve_mistakes_are_each_caught_in_each_framework(proof: EqualityReport) -> None:
    caught = {(c.mistake, c.framework) for c in proof.mistakes if c.caught}
    assert len(MISTAKES) >= 12
    assert caught == {(m.name, framework) for m in MISTAKES for framework in FRAMEWORKS}


def test_an_error_is_relative_to_the_largest_value_and_nothing_hides() -> None:
    right = np.array([1.0, -4.0])
    assert relative_error(np.array([1.0, -4.4]), right) == pytest.approx(0.1)
    assert relative_error(np.array([np.nan, -4.0]), right) == float("inf")
    assert relative_error(np.array([1.0]), right) == float("inf")
    assert array_errors({}, {"head": right}) == {"head": float("inf")}
    assert rms_error(np.array([1.0, -4.4]), right) == pytest.approx(0.4 / np.sqrt(17))
    assert rms_error(np.array([np.nan, -4.0]), right) == float("inf")


def test_what_a_run_times_is_compared_as_a_whole_graph_with_the_references_float64(proof: EqualityReport) -> None:
    graphs = [c for c in proof.checks if c.what.startswith("whole graph")]
    assert {c.right for c in graphs} == {"reference float64"}
    for framework in FRAMEWORKS:
        found = {(c.left, c.precision) for c in graphs if c.left.startswith(framework)}
        assert found == {
            (f"{framework} default", "fp64"), (f"{framework} default", "fp32"),
            (f"{framework} tuned", "fp64"), (f"{framework} tuned", "fp32"), (f"{framework} tuned", "bf16"),
        }  # fmt: skip


def test_an_uneven_split_and_the_other_order_are_proven_in_training_mode_too(proof: EqualityReport) -> None:
    assert UNEVEN in proven(proof)
    (training,) = {c.what for c in proof.checks if (c.model, c.variant) == UNEVEN and c.what.startswith("training")}
    assert training == "training mode at 112"


def test_every_operator_is_proven(proof: EqualityReport) -> None:
    assert {(name, SMALL) for name in OPERATORS} <= proven(proof)


@pytest.mark.parametrize("uncompiled", [True, False])
def test_a_recipe_can_be_proven_without_the_compiler_that_takes_most_of_its_time(
    uncompiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def compiled(model: object, **_: object) -> object:
        asked.append(model)
        return model

    monkeypatch.setattr("torch.compile", compiled)
    job = ForwardPass(
        model="xception", variant="narrow", resolution=75, precision="fp64", recipe="tuned", uncompiled=uncompiled
    )
    assert set(forward.run("pytorch", job)) == {"head"}
    assert bool(asked) is not uncompiled


def test_one_framework_alone_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    present = ("pytorch",)

    class Lonely:
        missing = {name: f"{name} is not installed" for name in (*OURS, KERAS) if name not in present}  # noqa: RUF012

        def __init__(self, names: Sequence[str], folder: Path) -> None: ...
        def __enter__(self) -> Lonely:
            return self

        def __exit__(self, *raised: object) -> None: ...
        def ask(self, names: Sequence[str], job: ForwardPass, given: object = None) -> dict[str, dict[str, np.ndarray]]:
            return {name: {"head": np.ones(3)} for name in names if name in present}

    monkeypatch.setattr("xibench.analysis.verify.Workers", Lonely)
    report = verify(["xception"], ["narrow"])
    assert not report.ok
    assert report.skipped[-1] == "nothing was proven: at least two frameworks are needed to compare"


def test_a_worker_that_dies_ends_the_proof_at_once_though_others_still_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(framework: str) -> list[str]:
        return ["/bin/sh", "-c", "sleep 1; exit 3"] if framework == "jax" else ["/bin/sh", "-c", "exec sleep 3600"]

    monkeypatch.setattr("xibench.workers.interpreters.worker_command", command)
    with pytest.raises(XibenchError, match=r"jax.* exited with code 3"):
        verify(["xception"])
    left = [child.cmdline() for child in psutil.Process().children(recursive=True)]
    assert ["sleep", "3600"] not in left, "nobody waited for the others, and they were ended"


def test_an_unknown_network_is_refused_before_any_process_starts() -> None:
    with pytest.raises(UnknownName, match="unknown model 'xcepton': did you mean xception"):
        verify(["xcepton"])


def test_a_framework_that_is_missing_is_skipped_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "__init__.py").write_text("raise ModuleNotFoundError('no jax', name='jax')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    job = ForwardPass(model="xception", resolution=71, precision="fp32", variant="narrow")
    with Workers(("pytorch", "jax"), tmp_path) as asked:
        assert set(asked.ask(("pytorch", "jax"), job)) == {"pytorch"}
        assert set(asked.ask(("pytorch", "jax"), job)) == {"pytorch"}
        assert asked.missing["jax"].startswith("jax: module 'jax' is not installed; pip install")


def test_a_worker_that_dies_is_one_line_with_its_last_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["/bin/sh", "-c", "echo out of luck; exit 3"]
    monkeypatch.setattr("xibench.workers.interpreters.worker_command", lambda framework: command)
    with Workers(("pytorch",), tmp_path) as asked, pytest.raises(XibenchError) as raised:
        asked.ask(("pytorch",), ForwardPass(model="xception", resolution=71, precision="fp32"))
    assert "exited with code 3" in str(raised.value)
    assert str(raised.value).endswith("; its last output: out of luck")
    assert "\n" not in str(raised.value)
