"""`xibench doctor --asv-machine` writes a machine that asv itself reads, with what figures depend on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from asv.machine import Machine

from tests.cli.command import xibench
from xibench.analysis import asv_machine
from xibench.errors import InputError, UsageError


def test_asv_reads_the_machine_with_its_processor_and_gpus(tmp_path: Path) -> None:
    path = tmp_path / ".asv-machine.json"
    path.write_text(json.dumps({"old": {"machine": "old", "cpu": "x"}, "version": 1}))
    asv_machine.write(path, asv_machine.describe("nightly-1"))
    found = vars(Machine.load(machine_name="nightly-1", _path=str(path)))
    assert found["machine"] == "nightly-1"
    assert int(found["num_cpu"]) <= (os.cpu_count() or 1)
    assert {"cpu", "ram", "os", "arch", "gpu", "driver", "cpu_flags"} <= found.keys()
    assert vars(Machine.load(machine_name="old", _path=str(path)))["cpu"] == "x"  # others stay


def test_the_command_writes_into_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    done = xibench("doctor", "--asv-machine", "nightly-1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "nightly-1" in json.loads((tmp_path / ".asv-machine.json").read_text())


@pytest.mark.parametrize("name", ["", "../x", "a b", ".hidden", "ä", "x\0"])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--asv-machine: received"):
        asv_machine.describe(name)


@pytest.mark.parametrize("content", ["{", "[]", '{"version": 7}', '{"vm": {}}'])
def test_a_damaged_file_of_asv_is_left_as_it_is(tmp_path: Path, content: str) -> None:
    path = tmp_path / ".asv-machine.json"
    path.write_text(content)
    with pytest.raises(InputError, match="asv machine"):
        asv_machine.write(path, {"machine": "x"})
    assert path.read_text() == content
