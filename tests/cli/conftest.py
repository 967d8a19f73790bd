from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.command import xibench
from xibench.analysis import doctor


@pytest.fixture(scope="session")
def doctor_report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Report of `xibench doctor --json`. It takes seconds to probe every framework, so all tests share one report."""
    return json.loads(xibench("doctor", "--json", cwd=tmp_path_factory.mktemp("doctor")).stdout)


@pytest.fixture
def doctor_output(doctor_report: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return the output of `xibench doctor` about this report, by its options."""
    found = msgspec.convert(doctor_report, doctor.DoctorReport)
    monkeypatch.setattr(doctor, "diagnose", lambda: found)
    return lambda *options: xibench("doctor", *options, cwd=tmp_path).stdout
