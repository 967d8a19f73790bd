"""Environment variables that change how fast frameworks compute, or which kernels they choose.

They are part of the environment of a run, so that two runs under other variables are not compared as if they were
alike. Run files are published: only variables that are known to bear on speed are read, and paths in their values are
left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Final

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
OVERRIDDEN: Final = ("XLA_PYTHON_CLIENT_PREALLOCATE", "TF_FORCE_GPU_ALLOW_GROWTH", "TORCHINDUCTOR_CACHE_DIR")
"""xibench sets these for its workers, whatever the user has: `xibench.workers.session`, `xibench.run.execute`."""
_PATH: Final = re.compile(r"(?<![\w/.~-])[~.]{0,2}/[^\s,;:=]*")


def speed_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of `environ` that bear on speed, by name, as they may be published.

    A library that is loaded beforehand (LD_PRELOAD) is named without its folder; any other path is `<path>`.
    """
    return {name: _published(name, environ[name]) for name in sorted(environ) if _bears_on_speed(name)}


def _bears_on_speed(name: str) -> bool:
    def is_one_of(patterns: tuple[str, ...]) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in patterns)

    return is_one_of(SPEED) and not is_one_of((*OF_NO_EFFECT, *SECRET, *OVERRIDDEN))


def _published(name: str, value: str) -> str:
    if name == "LD_PRELOAD":
        return " ".join(PurePosixPath(library).name for library in re.split(r"[\s:]+", value) if library)
    return _PATH.sub("<path>", value)
