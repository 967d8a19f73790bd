from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import psutil
import pytest

from tests.builders import ENVIRONMENT
from xibench.record import environment
from xibench.record.schema import Environment


def test_every_null_field_has_a_reason() -> None:
    read = environment.read()
    fields = msgspec.structs.asdict(read)
    assert {name for name, value in fields.items() if value is None} <= set(read.absent)
    assert read.gpus or "gpus" in read.absent


def test_memory_and_versions_are_those_of_this_machine() -> None:
    read = environment.read({"jax": ".venvs/jax"})
    assert read.memory_bytes == psutil.virtual_memory().total
    assert read.packages["numpy"] == __import__("numpy").__version__
    assert read.interpreters == {"jax": ".venvs/jax"}


def test_reading_twice_gives_the_same_fingerprint() -> None:
    assert environment.fingerprint(environment.read()) == environment.fingerprint(environment.read())


def test_no_host_or_user_name_gets_into_the_environment() -> None:
    text = msgspec.json.encode(environment.read()).decode()
    assert str(Path.home()) not in text


def test_the_processor_is_read_from_cpuinfo(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("model name\t: Intel(R) Xeon(R) Platinum 8488C\nflags\t\t: fpu avx2 amx_bf16 pse\n")
    read = environment.read(cpuinfo=cpuinfo)
    assert read.cpu_model == "Intel(R) Xeon(R) Platinum 8488C"
    assert read.cpu_flags == ["avx2", "amx_bf16"]
    assert read.machine.startswith("intel-xeon-platinum-8488c-")


def test_an_arm_processor_has_its_features(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nFeatures\t: fp asimd sve bf16\nCPU part\t: 0xd40\n")
    assert environment.read(cpuinfo=cpuinfo).cpu_flags == ["asimd", "bf16", "sve"]


@pytest.mark.parametrize(
    ("model", "flags", "cores", "gpus", "name"),
    [
        ("AMD EPYC", ["avx2"], 2, [], "amd-epyc-avx2-2c"),
        ("AMD EPYC", ["avx2", "avx512f"], 2, [], "amd-epyc-avx512-2c"),
        ("Intel(R) Xeon(R) Processor", ["avx512f", "amx_tile"], 4, [], "intel-xeon-amx-4c"),
        ("AMD EPYC 9R14 96-Core Processor", ["avx2", "avx512f"], 16, [], "amd-epyc-9r14-16c"),
        ("Intel(R) Core(TM) i7-1165G7 CPU @ 2.80GHz", ["avx2"], 8, [], "intel-core-i7-1165g7-8c"),
        ("AMD EPYC", [], 16, ["NVIDIA H200", "NVIDIA H200"], "amd-epyc-16c-nvidia-h200"),
    ],
)
def test_a_machine_is_named_by_processor_cores_and_gpu(
    model: str, flags: list[str], cores: int, gpus: list[str], name: str
) -> None:
    assert environment.machine_name(model, flags, cores, gpus) == name


@pytest.mark.parametrize(
    ("model", "flags", "shown"),
    [("AMD EPYC", ["avx2", "avx512f"], "AMD EPYC (AVX512)"), ("AMD EPYC 9R14", ["avx2"], "AMD EPYC 9R14")],
)
def test_a_processor_that_hides_its_number_is_known_by_its_extension(model: str, flags: list[str], shown: str) -> None:
    assert msgspec.structs.replace(ENVIRONMENT, cpu_model=model, cpu_flags=flags).processor == shown


def test_a_checkout_is_dirty_once_a_tracked_file_has_changed(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "--no-verify", "-m", "first")
    root = tmp_path.resolve()
    commit, dirty = environment.git_state(root, {})
    assert len(commit or "") == 40
    assert dirty is False
    (tmp_path / "file").write_text("2")
    assert environment.git_state(root, {}) == (commit, True)


def test_a_folder_inside_somebody_elses_checkout_is_no_checkout(tmp_path: Path) -> None:
    subprocess.run(["git", "-C", tmp_path, "init"], check=True, capture_output=True)
    inner = tmp_path.resolve() / "site-packages"
    inner.mkdir()
    absent: dict[str, str] = {}
    assert environment.git_state(inner, absent) == (None, None)
    assert absent["git_commit"] == "xibench does not run from a checkout"


def test_differences_name_the_package_with_both_versions() -> None:
    now = msgspec.structs.replace(ENVIRONMENT, packages={"torch": "2.14.0"}, kernel="ACME 1.1", cpu_flags=[])
    assert environment.differences(ENVIRONMENT, now) == [
        "cpu_flags differ", "kernel ACME 1.0 -> ACME 1.1", "torch 2.13.0 -> 2.14.0",
    ]  # fmt: skip
    assert environment.differences(ENVIRONMENT, ENVIRONMENT) == []


def test_another_variable_another_quota_and_other_cores_are_another_environment(tmp_path: Path) -> None:
    def here(variables: dict[str, str], cpus: str, quota: str) -> Environment:
        (tmp_path / "status").write_text(f"Cpus_allowed_list:\t{cpus}\nMems_allowed_list:\t0\n")
        (tmp_path / "cpu.max").write_text(quota)
        (tmp_path / "cgroup").write_text("0::/\n")
        (tmp_path / "mountinfo").write_text(f"35 31 0:32 / {tmp_path} rw - cgroup2 cgroup2 rw\n")
        return environment.read(own=tmp_path, environ=variables)

    then = here({"HOME": "/home/alice"}, "0-3,8", "max 100000")
    assert (then.cpus_allowed, then.memory_nodes, then.cpu_quota_cores, then.variables) == ("0-3,8", "0", None, {})
    assert then.absent["cpu_quota_cores"] == "no control group sets one"
    for now, said in (
        (here({"OMP_NUM_THREADS": "1"}, "0-3,8", "max 100000"), "OMP_NUM_THREADS None -> 1"),
        (here({}, "0-3", "max 100000"), "cpus_allowed 0-3,8 -> 0-3"),
        (here({}, "0-3,8", "150000 100000"), "cpu_quota_cores None -> 1.5"),
    ):
        assert environment.fingerprint(now) != environment.fingerprint(then)
        assert environment.differences(then, now) == [said]
