"""Migration of older formats of run files and files of pairs to the present one, while a file is read.

All functions take and return decoded JSON. `xibench.record.schema` has the history of the format. Values that an older
format did not have are null, with the reason in `absent`.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from xibench.record.pairs import PAIRS_VERSION
from xibench.record.schema import FORMAT_VERSION

Line = dict[str, Any]
DAMAGE: Final = (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError)
"""The exceptions that a migration raises for a damaged line."""

NOT_IN_1: Final = "files of format 1 do not hold it"
NOT_IN_2: Final = "files of format 2 do not hold it"
NOT_IN_3: Final = "files of before format 4 do not hold it"
KINDS: Final = {"offline": "steps", "single-stream": "queries", "server": "server", "compile": "compile"}
"""What a process measured in each scenario of format 3."""
SAMPLED: Final = ("warmup_s", "warmup_stopped_by", "steps_s", "device_steps_s", "stopped_by", "input_buffers")


def header(line: Line) -> Line:
    """Migrate the header of a run file."""
    return _header_3(_header_1(line) if line["format_version"] == 1 else line)


def following(line: Line, header: Line) -> Line:
    """Migrate a line that follows the header. header: of the same file, before its migration."""
    version = header["format_version"]
    if version == 1:
        line = _record_1(line, header)
    elif version == 2 and line.get("process"):
        line = _attempt_2(line)
    return _calibration_3(line) if line.get("type") == "calibration" else _attempt_3(line)


def pairs_header(line: Line) -> Line:
    """Migrate the header of a file of pairs of version 1."""
    line = _renamed(line, pictures="images")
    if line.get("procedure"):
        renamed = {
            name: name.replace("least_", "min_").replace("most_", "max_") for name in line["procedure"]
        }
        line["procedure"] = _renamed(line["procedure"], **renamed)
    return line | {"pairs_version": PAIRS_VERSION, "environment": environment(line["environment"])}


def pair(line: Line) -> Line:
    """Migrate a pair of version 1."""
    line = _renamed(line, set_aside="superseded")
    if line.get("surroundings"):
        line["surroundings"] = surroundings(line["surroundings"])
    return line


def environment(machine: Line) -> Line:
    """Migrate the environment of a run file before format 4, of a file of pairs of version 1, or of a claim."""
    new = ("cpus_allowed", "memory_nodes", "cpu_quota_cores", "memory_limit_bytes", "variables")
    missing = {field: NOT_IN_3 for field in new if field not in machine}
    return machine | {"absent": machine.get("absent", {}) | missing}


def surroundings(around: Line) -> Line:
    """Migrate surroundings before format 4, which had another name for the foreign processes on a GPU."""
    moments = {moment: around[moment] | {"gpus": _cards(around[moment]["gpus"])} for moment in ("before", "after")}
    return around | moments | {"gpus": _cards(around.get("gpus", []))}


def _cards(gpus: list[Line]) -> list[Line]:
    return [
        _renamed(gpu, strangers="foreign_processes")
        | {"absent": _renamed(gpu.get("absent", {}), strangers="foreign_processes")}
        for gpu in gpus
    ]


def _renamed(line: Line, **names: str) -> Line:
    """Return the same entries under new names. names: old name = new name."""
    return {names.get(name, name): value for name, value in line.items()}


def _header_3(line: Line) -> Line:
    line = _renamed(line, rule="sampling", pictures="images")
    return line | {"format_version": FORMAT_VERSION, "environment": environment(line["environment"])}


def _calibration_3(line: Line) -> Line:
    return _renamed(line, products="matmuls")


def _attempt_3(line: Line) -> Line:
    line = _renamed(line, set_aside="superseded")
    if line.get("surroundings"):
        line["surroundings"] = surroundings(line["surroundings"])
    if line.get("process"):
        line["process"] = _process_3(line["process"], line["case"].get("scenario", "offline"))
    return line


def _process_3(process: Line, scenario: str) -> Line:
    """Migrate a process of format 3: the samples and their number of images become a member of a tagged union."""
    kind = KINDS[scenario]
    samples: Line = {name: process.pop(name) for name in SAMPLED if name in process}
    server, images = process.pop("server"), process["energy"].pop("images")
    if kind == "compile":  # that nothing was sampled is what the kind says
        samples = {}
        process["absent"].pop("device_steps_s", None)
    else:
        samples["images"] = images
    process["absent"] = process.get("absent", {}) | {"weights_digest": NOT_IN_3}
    return process | {"measured": {"kind": kind} | samples | (server or {})}


def _header_1(line: Line) -> Line:
    rule = line["rule"]
    fixed = {"processes": 1, "repeats": 0, "max_warmup_steps": rule["warmup_steps"], "half_width": None}
    machine = dict(line["environment"])
    machine["absent"] = machine.get("absent", {}) | {"cache_bytes": NOT_IN_1}
    return line | {"rule": rule | fixed, "environment": machine}


def _record_1(line: Line, header: Line) -> Line:
    """Migrate a record of format 1. It has at most one process, which becomes the case's only attempt."""
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
    """Migrate a clock of format 1, a text such as `time.perf_counter, …(CLOCK_MONOTONIC), resolution 1e-09 s`."""
    stated = re.search(r", resolution (\S+) s$", text)
    return {
        "name": text[: stated.start()] if stated else text,
        "resolution_s": float(stated[1]) if stated else None,
        "read_s": None,
        "loop_overhead_s": None,
    }


def _why(*fields: str) -> dict[str, str]:
    return dict.fromkeys(fields, NOT_IN_1)
