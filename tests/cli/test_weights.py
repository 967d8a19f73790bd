from __future__ import annotations

from pathlib import Path

from safetensors.numpy import load_file

from frameworks.architectures import network
from frameworks.weights import check
from tests.cli.command import error_of, xibench


def test_a_file_fits_its_network_and_stdout_is_only_its_name(tmp_path: Path) -> None:
    done = xibench("weights", "init", "xception", "--variant", "narrow", "--out", "x.safetensors", cwd=tmp_path)
    assert done.stdout == "x.safetensors\n"
    assert "`xibench run --weights x.safetensors`" in done.stderr
    check(network("xception", "narrow"), load_file(tmp_path / "x.safetensors"))


def test_equal_seeds_give_equal_weights_and_different_seeds_different_ones(tmp_path: Path) -> None:
    def made(name: str, seed: str) -> dict[str, list[float]]:
        xibench("weights", "init", "xception", "--variant", "narrow", "--seed", seed, "--out", name, cwd=tmp_path)
        return {key: array.ravel()[:4].tolist() for key, array in load_file(tmp_path / name).items()}

    assert made("a", "1") == made("b", "1") != made("c", "2")


def test_a_file_for_another_resolution_fits_only_that_resolution(tmp_path: Path) -> None:
    init = ("weights", "init", "vgg16", "--variant", "narrow", "--out", "x.safetensors")
    assert xibench(*init, "--resolution", "96", cwd=tmp_path).returncode == 0
    use = ("run", "-f", "pytorch", "-m", "vgg16", "--variant", "narrow", "--weights", "x.safetensors", "--dry-run")
    done = xibench(*use, "--resolution", "96", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "head.dense1.kernel" in error_of(*use, cwd=tmp_path, code=2)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    line = error_of("weights", "init", "xception", "--out", "nowhere/x.safetensors", cwd=tmp_path, code=1)
    assert "the folder nowhere does not exist" in line


def test_a_negative_seed_is_refused(tmp_path: Path) -> None:
    line = error_of("weights", "init", "xception", "--seed", "-1", "--out", "x", cwd=tmp_path, code=2)
    assert "--seed" in line
    assert "received -1" in line
