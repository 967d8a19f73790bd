"""The machine and software that a run is taken on. No host or user name is read: run files are published.

What the user typed is in a run file all the same: `Header.command`, `Case.images` and `Case.weights` may hold paths,
and the output of a worker that did not end well (`Record.reason`, `Record.log`) whatever its libraries print.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import psutil

from xibench.measure import nvml
from xibench.measure.machine import cgroup_limits, last_level_cache_bytes
from xibench.record.processors import plain, told_apart_by
from xibench.record.schema import Environment, Gpu
from xibench.record.variables import speed_variables

DISTRIBUTIONS: Final = (
    "torch", "tensorflow", "jax", "jaxlib", "flax", "keras", "numpy", "scipy", "msgspec", "psutil", "pillow",
    "nvidia-ml-py",
)  # fmt: skip
FLAGS: Final[tuple[str, ...]] = (
    "sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "avx512_fp16", "avx_vnni", "amx_tile",
    "amx_bf16", "amx_int8", "asimd", "asimdhp", "bf16", "i8mm", "neon", "sve", "sve2", "svebf16",
)  # fmt: skip
GIT_TIME_LIMIT_S: Final = 10.0
ROOT: Final = Path(__file__).resolve().parents[2]


def read(
    interpreters: Mapping[str, str] | None = None,
    cpuinfo: Path = Path("/proc/cpuinfo"),
    own: Path = Path("/proc/self"),
    environ: Mapping[str, str] = os.environ,
) -> Environment:
    """Describe this machine and the parent's interpreter. What cannot be read is null, with the reason in `absent`.

    Args:
        interpreters: framework -> the environment its workers run in (`xibench.workers.session.interpreters`).
        cpuinfo: where the kernel describes the processor.
        own: where the kernel describes this process: the cores it may use and its control groups.
        environ: the environment variables that the user has set.
    """
    absent: dict[str, str] = {}
    model, flags = cpu(cpuinfo, absent)
    known_flags = [flag for flag in FLAGS if flag in flags]
    gpus = _gpus(absent)
    usable = _usable_cores()
    commit, dirty = git_state(ROOT, absent)
    physical = psutil.cpu_count(logical=False)
    if physical is None:
        absent["cores_physical"] = "the kernel does not report it"
    cache_bytes = last_level_cache_bytes()
    if cache_bytes is None:
        absent["cache_bytes"] = "the kernel does not describe the processor's caches"
    limits = cgroup_limits(own)
    absent |= dict.fromkeys(
        (name for name in ("cpu_quota_cores", "memory_limit_bytes") if getattr(limits, name) is None),
        "no control group sets one",
    )
    return Environment(
        machine=machine_name(model, known_flags, usable, [gpu.name for gpu in gpus]),
        cpu_model=model,
        cpu_flags=known_flags,
        cores_physical=physical,
        cores_logical=psutil.cpu_count() or usable,
        cores_usable=usable,
        memory_bytes=psutil.virtual_memory().total,
        os=_os_name(),
        kernel=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages={name: version(name) for name in DISTRIBUTIONS},
        interpreters=dict(interpreters or {}),
        git_commit=commit,
        git_dirty=dirty,
        gpus=gpus,
        cache_bytes=cache_bytes,
        cpus_allowed=_allowed(own, "Cpus", "cpus_allowed", absent),
        memory_nodes=_allowed(own, "Mems", "memory_nodes", absent),
        cpu_quota_cores=limits.cpu_quota_cores,
        memory_limit_bytes=limits.memory_limit_bytes,
        variables=speed_variables(environ),
        absent=absent,
    )


def fingerprint(environment: Environment) -> str:
    """A short hash by which records refer to an environment: the first 16 hex digits of the SHA-256 of its JSON."""
    return hashlib.sha256(msgspec.json.encode(environment, order="deterministic")).hexdigest()[:16]


def differences(then: Environment, now: Environment) -> list[str]:
    """List what differs between two environments, a phrase per field: `python CPython 3.11.7 -> CPython 3.12.1`."""
    found = []
    for field in Environment.__struct_fields__:
        before, after = getattr(then, field), getattr(now, field)
        if field == "absent" or before == after:
            continue
        if isinstance(before, dict):
            found += [
                f"{key} {before.get(key)} -> {after.get(key)}"
                for key in sorted({*before, *after})
                if before.get(key) != after.get(key)
            ]
        elif isinstance(before, list):
            found.append(f"{field} differ")
        else:
            found.append(f"{field} {before} -> {after}")
    return found


def version(distribution: str) -> str | None:
    """The version of an installed distribution; None if it is not installed in this interpreter."""
    from importlib import metadata  # takes 20 ms, a tenth of the parent's start

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def cpu(cpuinfo: Path, absent: dict[str, str]) -> tuple[str, set[str]]:
    """The processor's name and its extensions: from /proc/cpuinfo, else from py-cpuinfo, which takes a second."""
    try:
        text = cpuinfo.read_text()
    except OSError:
        text = ""
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    if model and flags:
        return model[1].strip(), set(flags[1].split())
    try:
        from cpuinfo import get_cpu_info

        described = get_cpu_info()
    except Exception as error:  # py-cpuinfo raises what it likes on processors that it does not know
        absent["cpu_flags"] = f"neither /proc/cpuinfo nor py-cpuinfo lists them: {error}"
        described = {}
    known = set(flags[1].split()) if flags else set(described.get("flags", ()))
    return described.get("brand_raw") or platform.machine(), known


def machine_name(cpu_model: str, cpu_flags: Sequence[str], cores: int, gpus: list[str]) -> str:
    """A short name for this kind of machine, fit for a file name: `intel-xeon-8488c-8c-nvidia-h200`.

    A virtual machine's processor may hide its number, and processors of very unlike speed then have one name; the
    widest vector or matrix extension tells them apart: `amd-epyc-avx2-2c`, `amd-epyc-avx512-2c`.
    """
    extension = told_apart_by(cpu_model, cpu_flags).lower()
    return "-".join(filter(None, (_slug(plain(cpu_model)), extension, f"{cores}c", _slug(gpus[0]) if gpus else "")))


def git_state(root: Path, absent: dict[str, str]) -> tuple[str | None, bool | None]:
    """Commit of the checkout at `root`, and whether tracked files differ from it. (None, None) outside a checkout."""
    try:
        if Path(_git(root, "rev-parse", "--show-toplevel")).resolve() != root:
            raise ValueError("xibench does not run from a checkout")
        commit = _git(root, "rev-parse", "--verify", "HEAD")
        return commit, bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except FileNotFoundError:
        why = "git is not installed"
    except subprocess.CalledProcessError:
        why = "xibench does not run from a checkout with a commit"
    except (ValueError, OSError, subprocess.TimeoutExpired) as error:
        why = str(error)
    absent["git_commit"] = absent["git_dirty"] = why
    return None, None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=GIT_TIME_LIMIT_S
    )
    return done.stdout.strip()


def _gpus(absent: dict[str, str]) -> list[Gpu]:
    try:
        return list(nvml.cards())
    except nvml.NoNvml as error:
        absent["gpus"] = str(error)
        return []


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _allowed(own: Path, kind: str, field: str, absent: dict[str, str]) -> str | None:
    """The cores (Cpus) or memory nodes (Mems) that this process may use, as the kernel lists them: `0-3,8`."""
    try:
        found = re.search(rf"^{kind}_allowed_list:\s*(\S+)$", (own / "status").read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found is None:
        absent[field] = "the kernel does not report it"
        return None
    return found[1]


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.platform(terse=True)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
