"""Older formats of the run file, made into the present one while a file is read: plain dictionaries in and out.

The history of the format stands in `schema`. Nothing is made up: what an older format did not hold is null, and
`absent` says so.
"""

from __future__ import annotations

import re
from typing import Any, Final

from xibench.record.schema import FORMAT_VERSION

Line = dict[str, Any]

NOT_IN_1: Final = "files of format 1 do not hold it"
NOT_IN_2: Final = "files of format 2 do not hold it"


def header(line: Line) -> Line:
    """The header of an older file as the present format has it."""
    return _header_1(line) if line["format_version"] == 1 else line | {"format_version": FORMAT_VERSION}


def following(line: Line, header: Line) -> Line:
    """A later line of an older file as the present format has it. header: of the same file, before its migration."""
    if header["format_version"] == 1:
        return _record_1(line, header)
    return _attempt_2(line) if header["format_version"] == 2 and line.get("process") else line


def _header_1(line: Line) -> Line:
    rule = line["rule"]
    fixed = {"processes": 1, "repeats": 0, "max_warmup_steps": rule["warmup_steps"], "half_width": None}
    machine = dict(line["environment"])
    machine["absent"] = machine.get("absent", {}) | {"cache_bytes": NOT_IN_1}
    return line | {"format_version": FORMAT_VERSION, "rule": rule | fixed, "environment": machine}


def _record_1(line: Line, header: Line) -> Line:
    """A record had at most one process, so it is the case's only attempt."""
    processes = line.get("processes", [])
    case = line["case"]
    process = _process_1(processes[0], case["batch"], header["rule"]["warmup_steps"]) if processes else None
    return {
        "type": "attempt",
        "case": case,
        "number": 0,
        "order": process["order"] if process else header["plan"].index(case),
        "status": line["status"],
        "reason": line.get("reason"),
        "log": line.get("log"),
        "costs": line["costs"] | {"absent": _why("elementwise", "attainable_s", "attainable_as_written_s")},
        "environment": line["environment"],
        "surroundings": None,
        "process": process,
    }


def _attempt_2(line: Line) -> Line:
    process = line["process"]
    return line | {"process": process | {"absent": process.get("absent", {}) | {"equality": NOT_IN_2}}}


def _process_1(process: Line, batch: int, warmup_steps: int) -> Line:
    steps_s = process["steps_s"]
    missing = (
        "read_s", "loop_overhead_s", "device_steps_s", "compiled_temporary_bytes", "compiled_argument_bytes",
        "compiled_output_bytes", "compiled_code_bytes", "equality",
    )  # fmt: skip
    return process | {
        "warmup_stopped_by": f"fixed count {warmup_steps}",  # no trend was looked for
        "device_steps_s": None,
        "clock": _clock_1(process["clock"]),
        "input_buffers": 1,
        "energy": {
            "window_s": sum(steps_s),
            "images": batch * len(steps_s),
            "gpu_counter_joules": None,
            "gpu_integrated_joules": None,
            "gpu_power_samples": 0,
            "cpu_package_joules": None,
            "absent": _why("gpu_counter_joules", "gpu_integrated_joules", "cpu_package_joules"),
        },
        "server": None,
        "absent": process.get("absent", {}) | _why(*missing),
    }


def _clock_1(text: str) -> Line:
    """`time.perf_counter, clock_gettime(CLOCK_MONOTONIC), resolution 1e-09 s`: name and resolution were one text."""
    stated = re.search(r", resolution (\S+) s$", text)
    return {
        "name": text[: stated.start()] if stated else text,
        "resolution_s": float(stated[1]) if stated else None,
        "read_s": None,
        "loop_overhead_s": None,
    }


def _why(*fields: str) -> dict[str, str]:
    return dict.fromkeys(fields, NOT_IN_1)
