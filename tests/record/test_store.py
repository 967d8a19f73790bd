from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.builders import append, attempt, calibration, failure, header, record, small_case
from xibench.errors import NewerFormat, StoreError
from xibench.record.schema import SamplingConfig
from xibench.record.store import RunFile, latest, read

PLAN = [small_case(batch=n) for n in (1, 2, 3)]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A run file with two of three planned cases."""
    with RunFile.create(tmp_path, header(PLAN)) as run_file:
        append(run_file, record(PLAN[0]))
        append(run_file, failure(PLAN[1]))
    return run_file.path


def test_what_was_appended_is_read_back(written: Path) -> None:
    run = read(written)
    assert run.header == header(PLAN)
    assert [(r.case, r.status) for r in run.records] == [(PLAN[0], "ok"), (PLAN[1], "failed")]
    assert run.records[0] == record(PLAN[0])
    assert not run.cut_line


def test_a_run_file_is_named_after_time_machine_and_run(written: Path) -> None:
    assert written.name == "20250102T030405Z-acme-cpu-2c-012345.jsonl"


def test_a_record_can_be_read_while_the_run_goes_on(tmp_path: Path) -> None:
    with RunFile.create(tmp_path, header(PLAN)) as run_file:
        append(run_file, record(PLAN[0]))
        assert read(run_file.path).records == (record(PLAN[0]),)


def test_a_file_that_exists_is_not_overwritten(written: Path) -> None:
    before = written.read_bytes()
    with pytest.raises(StoreError, match=r"exists already .*xibench run --resume"):
        RunFile.create(written, header(PLAN))
    assert written.read_bytes() == before


def test_the_path_in_a_command_to_type_is_quoted_for_a_shell(tmp_path: Path) -> None:
    path = tmp_path / "my run.jsonl"
    RunFile.create(path, header(PLAN)).close()
    with pytest.raises(StoreError, match=r"`xibench run --resume '.*my run\.jsonl'`"):
        RunFile.create(path, header(PLAN))


@pytest.mark.parametrize("trouble", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_file_whose_header_could_not_be_written_is_not_left_for_latest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: BaseException
) -> None:
    def interrupted(*_: object) -> int:
        raise trouble

    open_files = len(list(Path("/dev/fd").iterdir()))
    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises((StoreError, KeyboardInterrupt)) as raised:
        RunFile.create(tmp_path, header(PLAN))
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
    assert len(list(Path("/dev/fd").iterdir())) == open_files
    if isinstance(trouble, OSError):
        assert str(raised.value).endswith("cannot be written: No space left on device; make room, then run again")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made: Not a directory"):
        RunFile.create(tmp_path / "file" / "runs", header(PLAN))


def test_a_resumed_file_has_the_cases_without_a_record_pending(written: Path) -> None:
    with RunFile.resume(written) as run_file:
        assert run_file.index.pending() == [PLAN[2]]
        append(run_file, record(PLAN[2]))
        assert run_file.index.pending() == []
    assert len(read(written).records) == 3


@pytest.mark.parametrize("lost", [1, 2, 40])
def test_a_file_cut_in_mid_line_is_read_without_that_line_and_resumed(written: Path, lost: int) -> None:
    os.truncate(written, written.stat().st_size - lost)
    run = read(written)
    assert run.cut_line
    assert run.records == (record(PLAN[0]),)
    with RunFile.resume(written) as run_file:
        assert run_file.index.pending() == PLAN[1:]
        append(run_file, record(PLAN[1]))
    assert [r.status for r in read(written).records] == ["ok", "ok"]
    assert not read(written).cut_line


def test_a_newer_format_is_refused_with_what_to_do_and_left_alone(written: Path) -> None:
    first, rest = written.read_bytes().split(b"\n", 1)
    fields = msgspec.json.decode(first) | {"format_version": 99, "plan": "in a shape of the future"}
    written.write_bytes(msgspec.json.encode(fields) + b"\n" + rest)
    before = written.read_bytes()
    for refuse in (read, RunFile.resume):
        with pytest.raises(NewerFormat, match=r"format 99, this xibench reads up to 4.*pip install --upgrade xibench"):
            refuse(written)
    assert written.read_bytes() == before


def test_a_damaged_line_is_named(written: Path) -> None:
    lines = written.read_bytes().splitlines(keepends=True)
    written.write_bytes(lines[0] + b'{"type": "attempt"}\n' + lines[2])
    with pytest.raises(StoreError, match=r"line 2 is damaged: .*missing required field"):
        read(written)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no whole header"),
        (b'{"type":"hea', "no whole header"),
        (b"not JSON\n", "is not a run file"),
        (b"[]\n", "is not a run file"),
    ],
)
def test_what_is_no_run_file_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=said):
        read(path)


def test_a_missing_file_is_refused_with_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"does not exist; `xibench run` writes one"):
        read(tmp_path / "run.jsonl")


def test_the_latest_file_is_that_of_the_newest_run_whatever_its_name(tmp_path: Path) -> None:
    began = {"monday": "2025-01-06T08:00:00+00:00", "20250103T000000Z-a": "2025-01-07T08:00:00+00:00",
             "20250109T000000Z-a": "2025-01-05T23:00:00-08:00"}  # fmt: skip
    for name, created_utc in began.items():
        made = msgspec.structs.replace(header(PLAN), created_utc=created_utc)
        RunFile.create(tmp_path / f"{name}.jsonl", made).close()
    assert latest(tmp_path).name == "20250103T000000Z-a.jsonl"

    # Blank lines and a byte order mark before the header do not hide when the run began.
    newest = tmp_path / "20250103T000000Z-a.jsonl"
    newest.write_bytes(b"\xef\xbb\xbf\n \n" + newest.read_bytes())
    os.utime(newest, (1e9, 1e9))
    assert latest(tmp_path) == newest

    # Of runs that began in the same second, the file that was written last; a file that is no run file by its own time.
    again = tmp_path / "again.jsonl"
    RunFile.create(again, msgspec.structs.replace(header(PLAN), created_utc=began["20250103T000000Z-a"])).close()
    os.utime(again, (2e9, 2e9))
    assert latest(tmp_path) == again
    (tmp_path / "broken.jsonl").write_bytes(b"{")
    os.utime(tmp_path / "broken.jsonl", (1e9, 1e9))
    assert latest(tmp_path) == again


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content + b"\n",
        lambda content: b"\n \n" + content,
        lambda content: content.replace(b"\n", b"\n\n\t\n"),
        lambda content: content.replace(b"\n", b"\r\n"),
        lambda content: b"\xef\xbb\xbf" + content,
    ],
    ids=["an empty line at the end", "at the beginning", "between", "carriage returns", "a byte order mark"],
)
def test_what_an_editor_or_a_merge_adds_does_no_harm(written: Path, damage: Callable[[bytes], bytes]) -> None:
    records = read(written).records
    written.write_bytes(damage(written.read_bytes()))
    assert read(written).records == records
    assert not read(written).cut_line
    with RunFile.resume(written) as run_file:
        append(run_file, record(PLAN[2]))
    *earlier, added = read(written).records
    assert (tuple(earlier), added.case) == (records, PLAN[2])


def test_a_file_that_another_process_writes_is_not_resumed_until_that_process_has_ended(written: Path) -> None:
    code = "import sys; from xibench.record.store import RunFile; file = RunFile.resume(sys.argv[1])\n"
    code += "print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, written], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        before = written.read_bytes()
        with pytest.raises(StoreError, match=f"is being written by process {other.pid};"):
            RunFile.resume(written)
        assert read(written).records  # reading is always allowed
        other.kill()
    assert written.read_bytes() == before
    RunFile.resume(written).close()


def test_a_new_file_is_locked_until_it_is_closed(tmp_path: Path) -> None:
    with RunFile.create(tmp_path, header(PLAN)) as run_file, pytest.raises(StoreError, match="is being written by"):
        RunFile.resume(run_file.path)
    RunFile.resume(run_file.path).close()


def test_a_damaged_line_is_named_by_its_number_in_the_file(written: Path) -> None:
    header_line, first, *rest = written.read_bytes().splitlines(keepends=True)
    written.write_bytes(b"".join([header_line, b"\n", first, b"{}\n", *rest]))
    with pytest.raises(StoreError, match="line 4 is damaged"):
        read(written)


def test_a_folder_without_run_files_says_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="xibench run --preset quick"):
        latest(tmp_path)


FULL_DISK = """
import resource, signal, sys
from tests.builders import append, header, record, small_case
from xibench.errors import StoreError
from xibench.record.store import RunFile
plan = [small_case(batch=n) for n in range(1, 100)]
run_file = RunFile.create(sys.argv[1], header(plan))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = run_file.path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 2500, resource.RLIM_INFINITY))
try:
    for case in plan:
        append(run_file, record(case))
except StoreError as error:
    print(error)
    print(len(plan) - len(run_file.index.pending()))
"""


def test_on_a_full_disk_one_line_is_said_and_what_was_written_stays_valid(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    message, count = done.stdout.splitlines()
    assert f"run file {path} cannot be written: File too large" in message
    assert f"xibench run --resume {path}" in message
    run = read(path)
    assert not run.cut_line
    assert len(run.records) == int(count) >= 1


def test_ctrl_c_between_two_partial_writes_leaves_no_half_line(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = written.read_bytes()
    whole_write = os.write
    calls = 0

    def partial(descriptor: int, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return whole_write(descriptor, bytes(data)[:10])

    with RunFile.resume(written) as run_file:
        monkeypatch.setattr(os, "write", partial)
        with pytest.raises(KeyboardInterrupt):
            append(run_file, record(PLAN[2]))
        monkeypatch.undo()
        assert run_file.index.pending() == [PLAN[2]]
    assert written.read_bytes() == before


def test_the_processes_of_a_case_are_found_together_however_they_were_interleaved(tmp_path: Path) -> None:
    one, two, _ = PLAN
    with RunFile.create(tmp_path, header(PLAN)) as run_file:
        for order, (case, number) in enumerate([(two, 0), (one, 0), (one, 1), (two, 1)]):
            run_file.append(attempt(case, number=number, order=order))
    run = read(run_file.path)
    assert [r.case for r in run.records] == [one, two]
    assert [[p.order for p in r.processes] for r in run.records] == [[1, 2], [0, 3]]
    assert [a.order for a in run.attempts] == [0, 1, 2, 3]


def test_a_case_is_pending_until_it_has_its_processes_not_counting_those_set_aside(tmp_path: Path) -> None:
    case = PLAN[0]
    with RunFile.create(tmp_path, header([case], SamplingConfig(processes=2, repeats=1))) as run_file:
        run_file.append(attempt(case, number=0))
        run_file.append(attempt(case, number=1, order=1, disturbed=["load 9"], superseded=True))
        assert run_file.index.pending() == [case]
    with RunFile.resume(run_file.path) as run_file:
        assert run_file.index.pending() == [case]
        run_file.append(attempt(case, number=1, order=2))
        assert run_file.index.pending() == []
    (stored,) = read(run_file.path).records
    assert [p.order for p in stored.processes] == [0, 2]
    assert [a.order for a in stored.superseded] == [1]


def test_a_case_that_failed_owes_no_further_process(tmp_path: Path) -> None:
    with RunFile.create(tmp_path, header(PLAN[:1], SamplingConfig(processes=3))) as run_file:
        append(run_file, failure(PLAN[0]))
        assert run_file.index.pending() == []


def test_calibrations_are_kept_and_the_last_one_counts(tmp_path: Path) -> None:
    first = calibration()
    last = msgspec.structs.replace(first, environment="another")
    with RunFile.create(tmp_path, header(PLAN)) as run_file:
        assert read(run_file.path).calibration is None
        run_file.append(first)
        run_file.append(attempt(PLAN[0]))
        run_file.append(last)
    assert read(run_file.path).calibrations == (first, last)
    assert read(run_file.path).calibration == last
    with RunFile.resume(run_file.path) as resumed:
        assert resumed.calibrations == [first, last]
