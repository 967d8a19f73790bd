"""The machine and software of a run, including the environment variables that affect speed.

Run files are published, so no host or user name is read, only variables that are known to affect speed are recorded,
and paths in their values are removed. What the user typed is in a run file all the same: `Header.command`,
`Case.images` and `Case.weights` may contain paths, and the output of a failed worker (`Record.reason`, `Record.log`)
contains whatever its libraries print.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, Final

import msgspec
import psutil

from xibench.measure import nvml
from xibench.measure.machine import (
    cgroup_limits,
    distinguishing_extension,
    last_level_cache_bytes,
    plain_model,
    usable_cores,
)
from xibench.record.schema import Environment
from xibench.record.text import escaped

DISTRIBUTIONS: Final = (
    "torch", "tensorflow", "jax", "jaxlib", "flax", "keras", "numpy", "scipy", "msgspec", "psutil", "pillow",
    "nvidia-ml-py",
)  # fmt: skip
FLAGS: Final[tuple[str, ...]] = (
    "sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "avx512_fp16", "avx_vnni", "amx_tile",
    "amx_bf16", "amx_int8", "asimd", "asimdhp", "bf16", "i8mm", "neon", "sve", "sve2", "svebf16",
)  # fmt: skip
GIT_TIME_LIMIT_S: Final = 10.0
SPEED: Final = (
    # compilers and kernel libraries
    "XLA_*", "JAX_*", "LIBTPU_*", "TORCHINDUCTOR_*", "TORCHDYNAMO_*", "TORCH_COMPILE*", "TORCH*_DISABLE", "TRITON_*",
    "TORCH_BLAS_*", "TORCH_CUDNN_*", "TORCH_ALLOW_*", "TORCH_NNPACK_*", "TORCH_MKLDNN_*", "PYTORCH_*", "ATEN_*",
    "ONEDNN_*", "DNNL_*", "MKL_*", "MKLDNN_*", "OPENBLAS_*", "BLIS_*", "LRU_CACHE_CAPACITY",
    # TF_* as a whole would hold Terraform's variables, which may be secrets
    "TF_XLA_*", "TF_ENABLE_*", "TF_DISABLE_*", "TF_USE_*", "TF_NUM_*", "TF_CUDNN_*", "TF_CUBLAS_*", "TF_GPU_*",
    "TF_CPU_*", "TF_MKL_*", "TF_ONEDNN_*", "TF_FORCE_*", "TF_AUTOTUNE_*", "TF_DETERMINISTIC_*", "TF_JIT_*",
    "TF_OVERRIDE_*", "TF_SYNC_*", "TF_ALLOW_*",
    # threads
    "OMP_*", "GOMP_*", "KMP_*", "NUMEXPR_*", "VECLIB_*",
    # devices
    "NVIDIA_TF32_OVERRIDE", "CUDA_*", "CUBLAS_*", "CUBLASLT_*", "CUDNN_*",
    # memory, loader and interpreter
    "LD_PRELOAD", "MALLOC_*", "GLIBC_TUNABLES", "TCMALLOC_*", "MIMALLOC_*", "_RJEM_MALLOC_CONF", "PYTHONMALLOC",
    "PYTHONOPTIMIZE", "PYTHON_GIL", "PYTHON_JIT",
)  # fmt: skip
OF_NO_EFFECT: Final = (
    "*_HOME", "*_VERSION", "*_PATH", "CUDA_PATH_*", "*_ROOT", "*LOG*", "*DEBUG_DIR*", "*DUMP*", "*_CACHE_DIR_MAX*",
    "*WARNING*", "*DISPLAY*", "*TRACEBACK*", "*COLOR*",
)  # fmt: skip
SECRET: Final = ("*TOKEN*", "*SECRET*", "*PASSWORD*", "*PASSWD*", "*CREDENTIAL*", "*API_KEY*", "*AUTH*")
OVERRIDDEN: Final = (
    "XLA_PYTHON_CLIENT_PREALLOCATE", "TF_FORCE_GPU_ALLOW_GROWTH", "JAX_ENABLE_COMPILATION_CACHE",
    "JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_*", "TORCHINDUCTOR_CACHE_DIR", "TORCHINDUCTOR_*_REMOTE_CACHE",
    "TORCH_DYNAMO_*_PGO", "TRITON_CACHE_DIR", "PYTORCH_TUNABLEOP_FILENAME", "PYTORCH_KERNEL_CACHE_PATH",
)  # fmt: skip
"""xibench sets these for its workers, or switches off what they configure: `xibench.workers.session`."""
_PATH: Final = re.compile(r"(?<![\w/.~-])[~.]{0,2}/[^\s,;:=]*")
ROOT: Final = Path(__file__).resolve().parents[2]


def read(
    interpreters: Mapping[str, str] | None = None,
    cpuinfo: Path = Path("/proc/cpuinfo"),
    own: Path = Path("/proc/self"),
    environ: Mapping[str, str] = os.environ,
) -> Environment:
    """Describe this machine and the parent's interpreter. Unreadable values are null, with reasons in `absent`.

    Args:
        interpreters: framework -> the environment its workers run in (`xibench.workers.session.interpreters`).
        cpuinfo: where the kernel describes the processor.
        own: where the kernel describes this process: the cores it may use and its control groups.
        environ: the environment variables that the user has set.
    """
    absent: dict[str, str] = {}
    model, flags = cpu(cpuinfo, absent)
    known_flags = [flag for flag in FLAGS if flag in flags]
    usable = len(usable_cores())
    physical, cache_bytes = psutil.cpu_count(logical=False), last_level_cache_bytes()
    if physical is None:
        absent["cores_physical"] = "the kernel does not report it"
    if cache_bytes is None:
        absent["cache_bytes"] = "the kernel does not describe the processor's caches"
    try:
        gpus = list(nvml.cards())
    except nvml.NoNvml as error:
        gpus = []
        absent["gpus"] = str(error)
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        system = platform.platform(terse=True)
    commit, dirty = git_state(ROOT, absent)
    return Environment(
        machine=machine_name(model, known_flags, usable, [gpu.name for gpu in gpus]),
        cpu_model=model,
        cpu_flags=known_flags,
        cores_physical=physical,
        cores_logical=psutil.cpu_count() or usable,
        cores_usable=usable,
        memory_bytes=psutil.virtual_memory().total,
        os=system,
        kernel=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages={name: version(name) for name in DISTRIBUTIONS},
        interpreters=dict(interpreters or {}),
        git_commit=commit,
        git_dirty=dirty,
        gpus=gpus,
        cache_bytes=cache_bytes,
        variables=speed_variables(environ),
        absent=absent,
        **_limits(own, absent),
    )


def speed_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `environ` that affect speed, by name, without paths.

    A preloaded library (LD_PRELOAD) is named without its folder; any other path becomes `<path>`.
    """
    found = {}
    for name in sorted(environ):
        affects_speed, excluded = (
            any(fnmatchcase(name, pattern) for pattern in patterns)
            for patterns in (SPEED, (*OF_NO_EFFECT, *SECRET, *OVERRIDDEN))
        )
        if affects_speed and not excluded:
            found[name] = _PATH.sub("<path>", escaped(environ[name]))
            if name == "LD_PRELOAD":
                libraries = filter(None, re.split(r"[\s:]+", environ[name]))
                found[name] = escaped(" ".join(PurePosixPath(library).name for library in libraries))
    return found


def fingerprint(environment: Environment) -> str:
    """Return the hash by which records refer to an environment: the first 16 hex digits of the SHA-256 of its JSON."""
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
    """Return the version of an installed distribution; None if it is not installed in this interpreter."""
    from importlib import metadata  # takes 20 ms, a tenth of the parent's start

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def cpu(cpuinfo: Path, absent: dict[str, str]) -> tuple[str, set[str]]:
    """Return the processor's name and extensions: from /proc/cpuinfo, else from py-cpuinfo, which takes a second."""
    try:
        text = cpuinfo.read_text(errors="replace")
    except OSError:
        text = ""
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    if model and flags:
        return model[1].strip(), set(flags[1].split())
    try:
        from cpuinfo import get_cpu_info

        described = get_cpu_info()
    except Exception as error:  # py-cpuinfo raises various types on unknown processors
        absent["cpu_flags"] = f"neither /proc/cpuinfo nor py-cpuinfo lists them: {error}"
        described = {}
    known = set(flags[1].split()) if flags else set(described.get("flags", ()))
    return described.get("brand_raw") or platform.machine(), known


def machine_name(cpu_model: str, cpu_flags: Sequence[str], cores: int, gpus: list[str]) -> str:
    """Return a short name for this kind of machine, usable in file names: `intel-xeon-8488c-8c-nvidia-h200`.

    If a virtual machine hides the processor's number, its widest vector or matrix extension distinguishes it:
    `amd-epyc-avx2-2c`, `amd-epyc-avx512-2c`.
    """
    extension = distinguishing_extension(cpu_model, cpu_flags)
    description = " ".join([plain_model(cpu_model), extension, f"{cores}c", *gpus[:1]])
    return re.sub(r"[^a-z0-9]+", "-", description.lower()).strip("-")


def git_state(root: Path, absent: dict[str, str]) -> tuple[str | None, bool | None]:
    """Return the commit of the checkout at `root` and whether tracked files differ; (None, None) outside a checkout."""
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
        command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=GIT_TIME_LIMIT_S
    )
    return os.fsdecode(done.stdout).strip()


def _limits(own: Path, absent: dict[str, str]) -> dict[str, Any]:
    """Return the cores (`0-3,8`) and memory nodes that this process may use, and its control groups' limits."""
    try:
        status = (own / "status").read_text(errors="replace")
    except OSError:
        status = ""
    found: dict[str, Any] = {}
    for field, kind in (("cpus_allowed", "Cpus"), ("memory_nodes", "Mems")):
        listed = re.search(rf"^{kind}_allowed_list:\s*(\S+)$", status, re.MULTILINE)
        found[field] = listed[1] if listed else None
        if not listed:
            absent[field] = "the kernel does not report it"
    limits = cgroup_limits(own)
    for field in ("cpu_quota_cores", "memory_limit_bytes"):
        found[field] = getattr(limits, field)
        if found[field] is None:
            absent[field] = "no control group sets one"
    return found
