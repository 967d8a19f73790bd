from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders import attempt, header, small_case
from xibench.errors import Interrupted
from xibench.record.files import ENDING, ScratchFolder, uninterrupted
from xibench.record.store import RunFile, read


@pytest.fixture(autouse=True)
def _as_in_a_command() -> Iterator[None]:
    """Every signal ends a command as Ctrl-C does, whatever ignores it outside this test."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupting(call: Callable[..., Any], number: int = signal.SIGINT) -> Callable[..., Any]:
    """Return the call with a signal at its beginning."""

    def interrupted(*arguments: Any, **named: Any) -> Any:
        os.kill(os.getpid(), number)
        return call(*arguments, **named)

    return interrupted


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_is_handled_after_the_body(number: int) -> None:
    done = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  # what happens in the body is the point
        with uninterrupted():
            os.kill(os.getpid(), number)
            done.append("the body")
        done.append("what follows")
    assert done == ["the body"]
    assert signal.getsignal(number) is signal.default_int_handler


def test_a_signal_inside_two_of_them_is_handled_after_both() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        with uninterrupted():
            with uninterrupted():
                os.kill(os.getpid(), signal.SIGTERM)
            done.append("the outer one's rest")
        done.append("what follows")
    assert done == ["the outer one's rest"]


def test_a_signal_that_is_ignored_stays_ignored_as_under_nohup() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with uninterrupted():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_thread_may_use_it() -> None:
    done = []

    def work() -> None:
        with uninterrupted():
            done.append("the body")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["the body"]


def test_a_signal_while_a_temporary_folder_is_deleted_does_not_leave_it_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(KeyboardInterrupt), ScratchFolder("xibench-") as folder:  # noqa: PT012
        (Path(folder) / "batch.npy").write_bytes(b"0")
        monkeypatch.setattr("shutil.rmtree", interrupting(shutil.rmtree))
    assert list(tmp_path.iterdir()) == []


def test_a_signal_while_a_temporary_folder_is_made_does_not_leave_it_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("tempfile.mkdtemp", made_then_interrupted := _then_interrupted(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        ScratchFolder("xibench-")
    assert made_then_interrupted.calls == 1
    assert list(tmp_path.iterdir()) == []


class _then_interrupted:  # noqa: N801
    """A mkdtemp after which a signal arrives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = 0

    def __call__(self, *_: object) -> str:
        self.calls += 1
        (self.folder / "made").mkdir()
        os.kill(os.getpid(), signal.SIGTERM)
        return str(self.folder / "made")


def test_a_measurement_that_is_being_written_when_a_signal_arrives_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = small_case()
    with (  # noqa: PT012
        pytest.raises(Interrupted, match=r"go on with `xibench run --resume .*run\.jsonl`"),
        RunFile.create(tmp_path / "run.jsonl", header([case])) as run_file,
    ):
        monkeypatch.setattr("os.fsync", interrupting(os.fsync))
        run_file.append(attempt(case))
    assert len(read(tmp_path / "run.jsonl").attempts) == 1
    assert run_file.index.settled == 1


def test_a_signal_while_the_header_is_written_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", interrupting(os.fsync))
    with pytest.raises(KeyboardInterrupt):
        RunFile.create(tmp_path / "run.jsonl", header([small_case()]))
    assert list(tmp_path.iterdir()) == []
