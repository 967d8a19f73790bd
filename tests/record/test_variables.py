from __future__ import annotations

import pytest

from xibench.record.environment import speed_variables
from xibench.workers import session


@pytest.mark.parametrize(
    "name",
    [
        "XLA_FLAGS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "OMP_NUM_THREADS", "KMP_AFFINITY", "GOMP_CPU_AFFINITY",
        "TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TORCHDYNAMO_DISABLE",
        "TORCHINDUCTOR_FREEZING", "JAX_DEFAULT_MATMUL_PRECISION", "NVIDIA_TF32_OVERRIDE", "CUDA_VISIBLE_DEVICES",
        "CUBLAS_WORKSPACE_CONFIG", "CUDNN_CONV_WSCAP_DBG", "MALLOC_ARENA_MAX", "PYTORCH_CUDA_ALLOC_CONF",
        "TF_CUDNN_USE_AUTOTUNE",
    ],
)  # fmt: skip
def test_a_variable_that_changes_speed_is_recorded_with_its_value(name: str) -> None:
    assert speed_variables({name: "1"}) == {name: "1"}


@pytest.mark.parametrize(
    "name",
    [
        "HOME", "USER", "PATH", "TMPDIR", "TF_VAR_database", "TF_CLI_CONFIG_FILE", "TF_TOKEN_example", "CUDA_HOME",
        "CUDA_VERSION", "TF_CPP_MIN_LOG_LEVEL", "TORCH_LOGS", "TORCH_HOME", "JAX_API_KEY", "AWS_SECRET_ACCESS_KEY",
        "HF_TOKEN",
    ],
)  # fmt: skip
def test_secrets_and_variables_of_no_effect_on_speed_are_not_recorded(name: str) -> None:
    assert speed_variables({name: "1"}) == {}


@pytest.mark.parametrize(
    ("name", "value", "published"),
    [
        ("LD_PRELOAD", "/opt/alice/libtcmalloc.so.4:libfoo.so", "libtcmalloc.so.4 libfoo.so"),
        ("XLA_FLAGS", "--a=true --xla_dump_to=/home/alice/x --b=2", "--a=true --xla_dump_to=<path> --b=2"),
        ("OMP_TOOL_LIBRARIES", "~/tools", "<path>"),
        ("OMP_TOOL_LIBRARIES", "../tools", "<path>"),
        ("KMP_AFFINITY", "granularity=fine,compact,1,0", "granularity=fine,compact,1,0"),
    ],
)
def test_folders_are_left_out_of_values(name: str, value: str, published: str) -> None:
    assert speed_variables({name: value}) == {name: published}


def test_what_xibench_sets_for_its_workers_is_not_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {"PATH": "/bin", "XLA_PYTHON_CLIENT_PREALLOCATE": "true"})
    forced = {name for name in session.worker_environment() if name.startswith(("XLA_", "TF_FORCE_"))}
    assert len(forced) == 2
    assert speed_variables(dict.fromkeys(forced, "true")) == {}
