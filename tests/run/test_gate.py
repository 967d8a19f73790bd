"""The equality gate: recipes are timed if they compute the network, and refused in one line if not."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.builders import small_case
from tests.cli.command import ROOT, error_of, xibench
from xibench.record.schema import Case
from xibench.run.gate import FACTOR, EqualityGate, NoGoldenOutputs, allowed_error, golden_case
from xibench.run.plan import execution
from xibench.workers import case as job
from xibench.workers.messages import ComputeGoldenOutputs, GoldenOutputs
from xibench.workers.session import Unobserved

TUNED = msgspec.structs.replace(small_case(batch=3), recipe="tuned")
FOLDED = "default+batch_norm=folded"  # a recipe that the gate checks and that compiles nothing
BRIEF = ("-m", "xception", "--variant", "narrow", "--resolution", "75", "--images", "noise", "--no-ceilings",
         "--repeats", "0", "--max-warmup-steps", "1", "--min-steps", "2", "--budget", "0.1", "--batch", "3",
         "--device", "cpu", "--json")  # fmt: skip


def test_ours_are_gated_unless_they_are_what_others_are_held_against() -> None:
    assert golden_case(TUNED)
    assert golden_case(msgspec.structs.replace(TUNED, recipe="default+layout=NHWC"))
    assert not golden_case(small_case())
    assert not golden_case(msgspec.structs.replace(TUNED, framework="keras-jax"))


def test_batches_scenarios_and_recipes_share_the_golden_outputs_of_their_first_image() -> None:
    cases = [
        msgspec.structs.replace(TUNED, batch=batch, recipe=recipe, scenario=scenario) for batch in (1, 3, 64)
        for recipe in ("tuned", "compiled") for scenario in ("offline", "compile")
    ]  # fmt: skip
    (golden,) = {golden_case(case) for case in cases}
    assert golden is not None
    assert (golden.batch, golden.recipe) == (1, "default")


def test_golden_outputs_are_float64_and_allows_three_times_what_default_has(tmp_path: Path) -> None:
    gate = EqualityGate(tmp_path, None)
    outputs = gate.golden_outputs(TUNED)
    assert isinstance(outputs, GoldenOutputs)
    exact = np.load(outputs.file)["logits"]
    assert (exact.dtype, exact.shape) == (np.float64, (1, 1000))
    assert 0 < outputs.allowed < FACTOR * 1e-5
    heard: list[str] = []
    assert gate.golden_outputs(msgspec.structs.replace(TUNED, batch=8), heard.append) is outputs
    assert heard == []  # computed once
    assert gate.golden_outputs(small_case()) is None


def test_where_default_has_no_error_a_rounding_is_allowed_still() -> None:
    assert allowed_error("fp64", 0.0) == 1e-12
    assert allowed_error("fp32", 1e-9) == 2.0**-23
    assert allowed_error("tf32", 1e-7) == 2.0**-10  # of a kernel of `default` that has no TF32
    assert allowed_error("bf16", 1e-3) == 3e-3


def test_golden_outputs_that_cannot_be_computed_leave_a_status_and_a_reason(tmp_path: Path) -> None:
    dying = EqualityGate(tmp_path, None, worker=(sys.executable, "-c", "import sys; sys.exit(3)")).golden_outputs(TUNED)
    assert isinstance(dying, NoGoldenOutputs)
    assert dying.status == "failed"
    assert dying.reason.startswith("its float64 reference could not be computed: the worker exited with code 3")
    card = EqualityGate(tmp_path, None).golden_outputs(msgspec.structs.replace(TUNED, device="cuda"))
    if isinstance(card, NoGoldenOutputs):  # no card here
        assert card.status == "unsupported"
        assert card.reason.startswith("pytorch: no usable CUDA device")


WORKER = """
import json, os, sys
starts, dies_after, pipe = sys.argv[1:]
with open(starts, "a") as file:
    file.write("start\\n")
for served, line in enumerate(sys.stdin):
    case = json.loads(line)["case"]
    if served >= int(dies_after):
        sys.exit(4)
    if case["precision"] == "bf16":
        answer = {"type": "Failure", "status": "failed", "reason": "ValueError: no bf16"}
    elif case["precision"] == "tf32":
        answer = {"type": "Failure", "status": "unsupported", "reason": "no TF32"}
    else:
        answer = {"type": "GoldenError", "error": 1e-3 * case["resolution"]}
    os.write(int(pipe), json.dumps(answer).encode() + b"\\n")
"""
"""Stands in for a worker: refuses some precisions, and dies after a number of requests."""
CASES = [
    msgspec.structs.replace(TUNED, resolution=resolution, precision=precision, recipe=recipe)
    for resolution in (75, 80) for precision in ("fp32", "bf16", "tf32") for recipe in ("tuned", "compiled")
]  # fmt: skip


@pytest.fixture
def starts(tmp_path: Path) -> Path:
    """A line for each worker that was started."""
    return tmp_path / "starts"


def gate_of(starts: Path, dies_after: int, cases: list[Case]) -> EqualityGate:
    return EqualityGate(
        starts.parent, None, cases, worker=(sys.executable, "-c", WORKER, str(starts), str(dies_after))
    )


def test_one_worker_computes_the_golden_outputs_of_all_gated_cases_of_a_framework_and_device(starts: Path) -> None:
    mine = [case for case in CASES if case.precision == "fp32"]
    others = [msgspec.structs.replace(TUNED, framework="jax"), msgspec.structs.replace(TUNED, device="cuda")]
    gate = gate_of(starts, 99, [*others, *mine, small_case()])
    found = gate.golden_outputs(mine[-1])
    assert isinstance(found, GoldenOutputs)
    assert found.allowed == pytest.approx(FACTOR * 0.080)
    assert len({getattr(gate.golden_outputs(case), "file", None) for case in (*mine, *others)}) == 4
    assert starts.read_text().count("start") == 3


ALONE_OR_TOGETHER = """
import json, os, sys, time
starts, together, pipe = sys.argv[1:]
with open(starts, "a") as file:
    file.write(f"{os.getpid()}\\n")
line = sys.stdin.readline()
case = json.loads(line)["case"]
deadline = time.monotonic() + 60
while together == "waits" and len(set(open(starts))) < 2 and time.monotonic() < deadline:
    time.sleep(0.01)
if together == "fails" and case["framework"] == "jax" and not os.path.exists(starts + "-failed"):
    open(starts + "-failed", "w")
    sys.exit(4)
answer = {"type": "GoldenError", "error": float(len(set(open(starts))))}
os.write(int(pipe), json.dumps(answer).encode() + b"\\n")
"""
"""Stands in for a worker: answers with the number of workers that have started, or fails once."""


@pytest.mark.parametrize(("together", "seen"), [("waits", 2.0), ("fails", 3.0)])
def test_frameworks_compute_side_by_side_and_one_that_fails_there_is_tried_alone(
    together: str, seen: float, tmp_path: Path
) -> None:
    cases = [TUNED, msgspec.structs.replace(TUNED, framework="jax")]
    worker = (sys.executable, "-c", ALONE_OR_TOGETHER, str(tmp_path / "starts"), together)
    found = EqualityGate(tmp_path, None, cases, worker=worker).golden_outputs(cases[1])
    assert isinstance(found, GoldenOutputs)
    assert found.allowed == FACTOR * seen


def test_with_a_limit_of_memory_workers_run_one_after_another(tmp_path: Path) -> None:
    cases = [TUNED, msgspec.structs.replace(TUNED, framework="jax")]
    worker = (sys.executable, "-c", ALONE_OR_TOGETHER, str(tmp_path / "starts"), "counts")
    gate = EqualityGate(tmp_path, 2**33, cases, worker=worker)
    found = [gate.golden_outputs(case) for case in cases]
    assert [one.allowed for one in found if isinstance(one, GoldenOutputs)] == [FACTOR * 1.0, FACTOR * 2.0]


def test_a_worker_that_dies_midway_costs_no_case_its_golden_outputs(starts: Path) -> None:
    mine = [msgspec.structs.replace(TUNED, resolution=resolution) for resolution in (75, 76, 77, 78, 79)]
    gate = gate_of(starts, 2, mine)
    assert all(isinstance(gate.golden_outputs(case), GoldenOutputs) for case in mine)
    assert starts.read_text().count("start") == 3


def test_each_case_is_refused_as_a_fresh_worker_refuses_it(starts: Path) -> None:
    together = gate_of(starts, 99, CASES)
    for case in CASES:
        alone = gate_of(starts, 99, []).golden_outputs(case)
        if isinstance(alone, NoGoldenOutputs):
            assert together.golden_outputs(case) == alone
        else:
            assert isinstance(together.golden_outputs(case), GoldenOutputs)


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["pytorch", "tensorflow", "jax"])
def test_golden_outputs_are_the_same_to_the_last_bit_whatever_the_worker_computed_before(
    framework: str, tmp_path: Path
) -> None:
    (tmp_path / "alone").mkdir()
    mine = [
        msgspec.structs.replace(TUNED, framework=framework, precision=precision) for precision in ("fp64", "fp32")
    ]
    together = EqualityGate(tmp_path, None, mine)
    first, second = (together.golden_outputs(case) for case in mine)
    alone = EqualityGate(tmp_path / "alone", None).golden_outputs(mine[1])
    assert isinstance(first, GoldenOutputs)
    assert isinstance(second, GoldenOutputs)
    assert isinstance(alone, GoldenOutputs)
    assert second.allowed == alone.allowed
    np.testing.assert_array_equal(np.load(second.file)["logits"], np.load(alone.file)["logits"])


def test_a_default_that_is_not_finite_is_said(tmp_path: Path) -> None:
    class Endless:
        substitutions = ()

        def touch(self, device: str) -> str:
            return device

        def prepare(self, *_: Any) -> Endless:
            return self

        def put(self, batch: Any) -> Any:
            return batch

        def compile(self, batch: Any) -> bool:
            return False

        def step(self, batch: Any) -> Any:
            return np.full((1, 10), np.inf)

        def synchronise(self, output: Any) -> None:
            pass

        def result(self, output: Any) -> Any:
            return {"logits": output}

    np.save(tmp_path / "batch.npy", np.zeros((1, 75, 75, 3), np.float32))
    case = golden_case(TUNED)
    assert case is not None
    request = ComputeGoldenOutputs(
        case=case, execution=msgspec.to_builtins(execution(case)),
        batch_file=str(tmp_path / "batch.npy"), file=str(tmp_path / "reference.npz"),
    )  # fmt: skip
    with pytest.raises(ArithmeticError, match="recipe default gives logits in fp32 or fp64 that are not finite"):
        job.compute_golden_outputs(request, Unobserved(), lambda _: Endless())  # type: ignore[arg-type, return-value]


@pytest.mark.slow
def test_a_sweep_and_float64_pass_the_gate(tmp_path: Path) -> None:
    sweep = ("--sweep", "--max-batch", "2", "--recipe", FOLDED, "-f", "pytorch")
    done = xibench("run", *sweep, *(a for a in BRIEF if a not in ("--batch", "3")), cwd=tmp_path)
    assert [r["status"] for r in json.loads(done.stdout)["records"]] == ["ok", "ok"], done.stderr
    done = xibench("run", "-f", "jax", "--recipe", FOLDED, "--precision", "fp64", *BRIEF, cwd=tmp_path)
    (record,) = json.loads(done.stdout)["records"]
    assert record["status"] == "ok", record["reason"]
    assert record["equality"]["allowed_error"] == 1e-12


@pytest.mark.slow
def test_a_record_tells_how_far_its_logits_were_from_float64(tmp_path: Path) -> None:
    done = xibench("run", "-f", "pytorch,jax", "--recipe", f"default,{FOLDED}", *BRIEF, cwd=tmp_path)
    shown = {(r["case"]["framework"], r["case"]["recipe"]): r for r in json.loads(done.stdout)["records"]}
    for framework in ("pytorch", "jax"):
        equality = shown[framework, FOLDED]["equality"]
        assert 0 < equality["rms_error"] <= equality["allowed_error"]
        assert equality["images"] == 1
        assert shown[framework, "default"]["equality"] is None


def test_a_recipe_that_computes_something_else_is_not_timed(tmp_path: Path) -> None:
    """The folding of batch norm is broken here, in the workers alone."""
    (tmp_path / "sitecustomize.py").write_text(
        "import frameworks.rewrites as r\n"
        "kept = r.fold_batch_norm\n"
        "def broken(network, weights):\n"
        "    network, folded = kept(network, weights)\n"
        "    return network, {n: a * 1.001 if n.endswith('conv2.conv.bias') else a for n, a in folded.items()}\n"
        "r.fold_batch_norm = broken\n"
    )
    done = xibench(
        "run", "-f", "pytorch", "--recipe", FOLDED, *BRIEF, cwd=tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}"
    )
    assert done.returncode == 1
    (record,) = json.loads(done.stdout)["records"]
    assert record["status"] == "failed"
    assert f"recipe {FOLDED} does not compute the network: its logits are " in record["reason"]
    assert "it is not timed" in record["reason"]


def test_a_wrong_choice_is_refused_before_golden_outputs_are_computed(tmp_path: Path) -> None:
    line = error_of("run", "-f", "pytorch", "--recipe", "tuned+layout=NHCW", *BRIEF[:-1], cwd=tmp_path, code=2)
    assert "layout is 'NHCW'" in line
