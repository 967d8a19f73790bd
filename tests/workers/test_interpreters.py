from __future__ import annotations

import re
import sys
import venv
from pathlib import Path

import pytest

from xibench.workers import probe, session


def own_environment(folder: Path, framework: str) -> Path:
    python = folder / ".venvs" / framework / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return python


def test_a_framework_runs_in_the_parents_interpreter_unless_it_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    python = own_environment(tmp_path, "jax")
    assert session.interpreter("jax") == str(python)
    assert session.interpreter("pytorch") == sys.executable
    assert session.interpreters() == {"pytorch": "parent", "tensorflow": "parent", "jax": ".venvs/jax"}


def test_preallocation_is_off_and_thread_counts_are_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "true")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    variables = session.worker_environment()
    assert variables["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert variables["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert variables["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert not [name for name in variables if name.endswith("NUM_THREADS")]


def test_a_file_named_like_a_framework_does_not_shadow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("raise RuntimeError('the wrong torch')")
    monkeypatch.chdir(tmp_path)
    assert "wrong torch" not in (probe.probe("pytorch").problem or "")


def test_a_broken_framework_is_reported_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jax.py").write_text("raise ImportError('libcudart.so.12: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    answer = probe.probe("jax")
    assert answer.problem == "jax: cannot be imported: ImportError: libcudart.so.12: cannot open shared object file"
    assert answer.devices == []


def test_an_interpreter_without_what_a_worker_needs_is_reported_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    python = str(tmp_path / "bare" / "bin" / "python")
    monkeypatch.setattr(session, "interpreter", lambda _: python)
    problem = probe.probe("jax").problem or ""
    lacking = rf"{re.escape(python)} does not have (msgspec|numpy|psutil), without which a worker cannot start"
    assert re.search(lacking, problem)
    assert f"`{python} -m pip install numpy msgspec psutil safetensors`" in problem


def test_an_interpreter_that_does_not_answer_is_reported_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "interpreter", lambda _: "/no/such/python")
    assert "pip install 'xibench[jax]'" in (probe.probe("jax").problem or "")
