"""The reference run of a machine with a GPU: its order, and a rehearsal on the CPU that is cut off and goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benches import gpu_reference
from benches.claims import speed_gpu
from tests.builders import small_case
from tests.processes import GENEROUS_S
from xibench.record.store import read


def test_the_most_valuable_part_is_measured_first() -> None:
    on_gpu = list(gpu_reference.parts("cuda"))
    assert [name for name, _ in on_gpu[:5]] == [
        "speed_gpu/run-bf16-256.jsonl", "speed_gpu/run-fp32-256.jsonl", "speed_gpu/run-bf16-1.jsonl",
        "speed_gpu/run-fp32-1.jsonl", "curve-bf16.jsonl",
    ]  # fmt: skip
    assert {case.device for _, cases in on_gpu for case in cases} == {"cuda"}
    headline = [case for _, cases in on_gpu[:4] for case in cases]
    assert {case.framework for case in headline} >= {"pytorch", "jax", "timm", "torchvision"}
    assert {case.batch for case in on_gpu[4][1]} == {1, 8, 64, 256, 512, 1024}
    assert len(on_gpu) == len(speed_gpu.BLOCKS) + 1


@pytest.mark.slow
def test_a_call_does_what_its_budget_allows_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_reference, "resolve_device", lambda frameworks, device: "cpu")
    monkeypatch.setattr(gpu_reference, "parts", lambda device: iter([("part.jsonl", (small_case(framework="jax"),))]))
    assert gpu_reference.main(["--budget", "0.1", "--out", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    assert json.loads((folder / "doctor.json").read_text())["conclusion"]
    assert not (folder / "part.jsonl").exists()
    assert gpu_reference.main(["--budget", str(GENEROUS_S), "--out", str(tmp_path)]) == 0
    assert [one.status for one in read(folder / "part.jsonl").attempts] == ["ok", "ok"]
    assert f"{folder}/part.jsonl: complete" in capsys.readouterr().err
    assert not (folder / "claims.jsonl").exists(), "a rehearsal answers no claim"
