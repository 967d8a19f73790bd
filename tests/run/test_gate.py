"""The equality gate: recipes are timed if they compute the network, and refused in one line if not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tests.builders import small_case
from tests.cli.command import ROOT, said, xibench
from xibench.run.gate import FACTOR, gates, is_gated, reference_case
from xibench.run.inputs import batch_file
from xibench.run.messages import Reference, ReferencesRequest
from xibench.run.references import references

TUNED = msgspec.structs.replace(small_case(batch=3), recipe="tuned")
BRIEF = ("-m", "xception", "--variant", "narrow", "--resolution", "75", "--images", "noise", "--no-ceilings",
         "--repeats", "0", "--max-warmup-steps", "1", "--min-steps", "2", "--budget", "0.1", "--batch", "3",
         "--device", "cpu", "--json")  # fmt: skip


def test_ours_are_gated_unless_they_are_what_others_are_held_against() -> None:
    assert is_gated(TUNED)
    assert is_gated(msgspec.structs.replace(TUNED, recipe="default+layout=NHWC"))
    assert not is_gated(small_case())
    assert not is_gated(msgspec.structs.replace(TUNED, framework="keras-jax"))


def test_batches_and_recipes_share_the_reference_of_their_first_images() -> None:
    cases = [
        msgspec.structs.replace(TUNED, batch=batch, recipe=recipe) for batch in (2, 3, 64)
        for recipe in ("tuned", "compiled")
    ]  # fmt: skip
    assert len({reference_case(case) for case in cases}) == 1
    assert reference_case(cases[0]).batch == 2


def test_a_reference_is_float64_and_allows_three_times_what_default_has(tmp_path: Path) -> None:
    found = gates([TUNED], lambda case: batch_file(case, tmp_path), tmp_path, lambda text: None)
    gate = found[reference_case(TUNED)]
    assert isinstance(gate, Reference)
    exact = np.load(gate.file)
    assert (exact.dtype, exact.shape) == (np.float64, (2, 1000))
    assert 0 < gate.allowed < FACTOR * 1e-5


def test_what_cannot_be_computed_is_the_reason(tmp_path: Path) -> None:
    class Broken:
        def touch(self, device: str) -> str:
            return device

        def prepare(self, *_: Any) -> Any:
            raise RuntimeError("no float64 here")

    np.save(tmp_path / "batch.npy", np.zeros((1, 75, 75, 3), np.float32))
    request = ReferencesRequest(
        framework="pytorch", device="cpu", cases=[reference_case(TUNED)], batch_files=[str(tmp_path / "batch.npy")],
        files=[str(tmp_path / "reference.npy")],
    )  # fmt: skip
    answer = references(request, lambda _: None, lambda _: Broken())  # type: ignore[arg-type, return-value]
    assert answer.errors == [None]
    assert answer.reasons == ["RuntimeError: no float64 here"]


def test_a_record_tells_how_far_its_logits_were_from_float64(tmp_path: Path) -> None:
    done = xibench("run", "-f", "pytorch,jax", "--recipe", "default,tuned", *BRIEF, cwd=tmp_path, timeout_s=300)
    shown = {(r["case"]["framework"], r["case"]["recipe"]): r for r in json.loads(done.stdout)["records"]}
    for framework in ("pytorch", "jax"):
        equality = shown[framework, "tuned"]["equality"]
        assert 0 < equality["rms_error"] <= equality["allowed_error"]
        assert equality["images"] == 2
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
        "run", "-f", "pytorch", "--recipe", "tuned", *BRIEF, cwd=tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}"
    )
    assert done.returncode == 1
    (record,) = json.loads(done.stdout)["records"]
    assert record["status"] == "failed"
    assert "recipe tuned does not compute the network: its logits are " in record["reason"]
    assert "it is not timed" in record["reason"]


def test_a_wrong_choice_is_refused_before_references_are_computed(tmp_path: Path) -> None:
    line = said("run", "-f", "pytorch", "--recipe", "tuned+layout=NHCW", *BRIEF[:-1], cwd=tmp_path, code=2)
    assert "layout is 'NHCW'" in line
