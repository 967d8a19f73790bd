from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from frameworks.api import FRAMEWORKS
from frameworks.architectures import network
from frameworks.weights import initial, save
from tests.builders import append, record, small_case
from tests.run.conftest import Listener, Quiet
from xibench import __version__
from xibench.errors import InputError, UsageError
from xibench.record import environment
from xibench.record.schema import FORMAT_VERSION, Case, SamplingConfig
from xibench.record.store import RunFile, read
from xibench.run.execute import resume, run, start

QUICK = SamplingConfig(warmup_steps=1, max_warmup_steps=1, min_steps=2, max_steps=2, time_limit_s=1800)


def test_a_run_begins_with_a_header_that_holds_for_all_of_it(tmp_path: Path) -> None:
    plan = [small_case(images="sample")]
    start(plan, QUICK, "quick", "xibench run --preset quick", tmp_path).close()
    (path,) = tmp_path.glob("*.jsonl")
    header = read(path).header
    assert (header.format_version, header.xibench) == (FORMAT_VERSION, __version__)
    assert (header.preset, header.command) == ("quick", "xibench run --preset quick")
    assert (header.sampling, header.plan) == (QUICK, plan)
    assert header.images.files == ["china.jpg", "flower.jpg"]
    assert header.environment_hash == environment.fingerprint(header.environment)
    assert set(header.environment.interpreters) == set(FRAMEWORKS)


def test_a_run_without_a_case_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to run"):
        start([], QUICK, None, "xibench run", tmp_path)


def test_pictures_that_cannot_be_read_leave_no_run_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        start([small_case(images=str(tmp_path / "none"))], QUICK, None, "xibench run", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_resuming_in_the_same_environment_warns_of_nothing(tmp_path: Path, listener: Listener) -> None:
    started = start([small_case()], QUICK, None, "xibench run", tmp_path)
    started.close()
    with resume(started.path, listener) as run_file:
        assert run_file.index.pending() == [small_case()]
    assert listener.warnings == []


def test_resuming_in_another_environment_warns_in_one_line_and_marks_new_records(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start([small_case()], QUICK, None, "xibench run", tmp_path) as run_file:
        path = run_file.path
    then = run_file.header.environment
    changed = msgspec.structs.replace(then, kernel="ACME 2", packages=then.packages | {"torch": "99.0"})
    monkeypatch.setattr(environment, "read", lambda _: changed)
    with resume(path, listener) as resumed:
        assert resumed.environment_hash == environment.fingerprint(changed) != resumed.header.environment_hash
    (warning,) = listener.warnings
    assert "-> 99.0" in warning
    assert "-> ACME 2" in warning
    assert "\n" not in warning


def test_resuming_with_other_images_is_refused(tmp_path: Path, listener: Listener) -> None:
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (8, 8), (255, 0, 0)).save(images / "a.png")
    with start([small_case(images=str(images))], QUICK, None, "xibench run", tmp_path) as run_file:
        path = run_file.path
    Image.new("RGB", (8, 8), (0, 255, 0)).save(images / "a.png")
    with pytest.raises(InputError, match="not the images that the run began with"):
        resume(path, listener)


def test_a_folder_is_recorded_with_as_many_files_as_the_largest_batch_has_images(
    tmp_path: Path, listener: Listener
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(70):
        Image.new("RGB", (8, 8)).save(images / f"{number:02}.png")
    plan = [small_case(batch=batch, images=str(images)) for batch in (1, 66, 2)]
    with start(plan, QUICK, None, "xibench run", tmp_path) as run_file:
        assert run_file.header.images.files == [f"{number:02}.png" for number in range(66)]
    (images / "69.png").unlink()
    resume(run_file.path, listener).close()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    narrow = network("xception", "narrow")
    save(tmp_path / "x.safetensors", narrow, initial(narrow))
    return tmp_path / "x.safetensors"


def with_weights(path: Path) -> Case:
    return msgspec.structs.replace(small_case(), weights=str(path))


def test_a_weights_file_is_recorded_by_its_digest_and_a_seed_has_none(tmp_path: Path, weights: Path) -> None:
    with start([with_weights(weights)], QUICK, None, "xibench run", tmp_path) as run_file:
        assert read(run_file.path).header.weights_digest == hashlib.sha256(weights.read_bytes()).hexdigest()
    with start([small_case()], QUICK, None, "xibench run", tmp_path) as run_file:
        assert read(run_file.path).header.weights_digest is None


def test_resuming_with_other_weights_in_the_same_file_is_refused(
    tmp_path: Path, weights: Path, listener: Listener
) -> None:
    with start([with_weights(weights)], QUICK, None, "xibench run", tmp_path) as run_file:
        path = run_file.path
    resume(path, listener).close()
    narrow = network("xception", "narrow")
    save(weights, narrow, initial(narrow, seed=1))
    with pytest.raises(InputError, match=r"x\.safetensors: this is not the file that the run began with; put it back"):
        resume(path, listener)
    weights.unlink()
    with pytest.raises(InputError, match=r"x\.safetensors cannot be read: No such file"):
        resume(path, listener)


def test_a_run_that_is_complete_needs_no_images_to_be_resumed(tmp_path: Path, listener: Listener) -> None:
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (8, 8)).save(images / "a.png")
    case = small_case(images=str(images))
    with start([case], QUICK, None, "xibench run", tmp_path) as run_file:
        append(run_file, record(case))
    (images / "a.png").unlink()
    with resume(run_file.path, listener) as resumed:
        assert resumed.index.pending() == []


@pytest.mark.slow
def test_frameworks_measure_in_processes_of_their_own_and_agree_on_the_output(
    tmp_path: Path, listener: Listener
) -> None:
    installed = [name for name, how in FRAMEWORKS.items() if importlib.util.find_spec(how.module)]
    plan = [small_case(name, images="sample") for name in installed]
    with start(plan, QUICK, None, "xibench run", tmp_path) as run_file:
        records = run(plan, run_file, listener, calibrate=False, conditions=Quiet())
    assert [(r.case.framework, r.status, r.reason) for r in records] == [(name, "ok", None) for name in installed]
    processes = [r.processes[0] for r in records]
    assert [len(p.steps_s) for p in processes] == [2] * len(plan)
    assert all(p.memory.host_peak_bytes > 2**20 for p in processes if p.memory.host_peak_bytes is not None)
    assert all(p.output_mean == pytest.approx(processes[0].output_mean, rel=1e-4) for p in processes)


def test_a_missing_framework_is_unsupported_with_its_install_command_and_the_rest_runs(
    run_file_with_a_missing_framework: RunFile, listener: Listener
) -> None:
    run_file = run_file_with_a_missing_framework
    missing, other = run(run_file.index.pending(), run_file, listener, calibrate=False, conditions=Quiet())
    assert missing.status == "unsupported"
    assert missing.reason == "jax: module 'jax' is not installed; pip install 'xibench[jax]'"
    assert missing.processes == []
    assert other.status == ("ok" if importlib.util.find_spec("torch") else "unsupported"), other.reason
    assert len(read(run_file.path).records) == 2


@pytest.fixture
def run_file_with_a_missing_framework(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFile:
    """A folder on PYTHONPATH whose jax cannot be imported, as if there were none."""
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "jax.py").write_text("raise ModuleNotFoundError(\"No module named 'jax'\", name='jax')")
    monkeypatch.setenv("PYTHONPATH", str(shadow))
    return start([small_case("jax"), small_case("pytorch")], QUICK, None, "xibench run", tmp_path)
