from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from xibench.errors import InputError, StoreError
from xibench.workers import inputs
from xibench.workers.inputs import read_images, save_batch

Batch = Callable[..., NDArray[np.float32]]


@pytest.fixture
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    """Writes the batch of a source and maps it as a worker does."""

    def saved(source: str, batch: int, resolution: int, seed: int = 0) -> NDArray[np.float32]:
        path = tmp_path_factory.mktemp("batch") / "batch.npy"
        save_batch(path, source, batch, resolution, seed)
        mapped: NDArray[np.float32] = np.load(path, mmap_mode="r")
        return mapped

    return saved


def save_image(path: Path, colour: tuple[int, int, int] = (255, 0, 0), size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def test_the_sample_is_two_images_in_minus_one_to_one(batch: Batch) -> None:
    assert read_images("sample", 8).files == ["china.jpg", "flower.jpg"]
    images = batch("sample", 3, 75)
    assert images.shape == (3, 75, 75, 3)
    assert images.dtype == np.float32
    assert -1 <= images.min() < -0.5 < 0.5 < images.max() <= 1
    assert np.array_equal(images[0], images[2])
    assert not np.array_equal(images[0], images[1])


def test_colours_are_scaled_to_the_range_of_the_networks(tmp_path: Path, batch: Batch) -> None:
    save_image(tmp_path / "red.png")
    assert np.array_equal(batch(str(tmp_path), 1, 8)[0, 4, 4], np.array([1, -1, -1], np.float32))


def test_the_largest_centred_square_is_taken(tmp_path: Path, batch: Batch) -> None:
    wide = Image.new("RGB", (90, 30), (0, 0, 0))
    wide.paste((255, 255, 255), (30, 0, 60, 30))
    wide.save(tmp_path / "wide.png")
    assert batch(str(tmp_path), 1, 30).min() == 1


def test_an_image_is_turned_upright(tmp_path: Path, batch: Batch) -> None:
    image = Image.new("RGB", (32, 32), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 32, 16))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    image.save(tmp_path / "turned.jpg", exif=exif, quality=100)
    upright = batch(str(tmp_path), 1, 32)[0]
    assert upright[4].mean() < 0 < upright[28].mean()


def test_a_large_image_or_batch_is_decoded_in_a_worker_to_the_same_values(
    tmp_path: Path, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 48, 3), np.uint8)).save(tmp_path / "a.jpg")
    sources = (str(tmp_path), "noise")
    here = [batch(source, 3, 40, seed=5) for source in sources]
    monkeypatch.setattr(inputs, "LARGE_PIXELS", 100)
    monkeypatch.setattr(inputs, "write_batch", None)
    elsewhere = [batch(source, 3, 40, seed=5) for source in sources]
    assert np.array_equal(here, elsewhere)


def test_noise_depends_only_on_its_seed(batch: Batch) -> None:
    assert np.array_equal(batch("noise", 2, 8, seed=1), batch("noise", 2, 8, seed=1))
    assert not np.array_equal(batch("noise", 2, 8, seed=1), batch("noise", 2, 8, seed=2))
    assert read_images("noise", 8).files == []


def test_a_batch_for_which_there_is_no_room_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"the batch of 1000000000 images takes .*TiB, .* are free in .*TMPDIR"):
        save_batch(tmp_path / "batch.npy", "noise", 10**9, 299)
    assert list(tmp_path.iterdir()) == []


def test_a_folders_files_come_before_those_of_its_subfolders_each_by_name(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/1.png", "z.jpeg", "a.jpeg", ".hidden.png", "c.txt"):
        if name.endswith("txt"):
            (tmp_path / name).write_text("not an image")
        else:
            Image.new("RGB", (8, 8)).save(save_image(tmp_path / name))
    assert read_images(str(tmp_path), 8).files == ["a.jpeg", "z.jpeg", "b/1.png", "b/2.JPG"]
    assert read_images(str(tmp_path), 3).files == ["a.jpeg", "z.jpeg", "b/1.png"]


def test_the_digest_is_computed_from_the_bytes_of_the_files(tmp_path: Path) -> None:
    path = save_image(tmp_path / "red.png")
    assert read_images(str(tmp_path), 8).digest == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_an_unreadable_image_is_an_error_in_one_line_naming_the_file(
    tmp_path: Path, batch: Batch, monkeypatch: pytest.MonkeyPatch, suffix: str, large: bool
) -> None:
    monkeypatch.setattr(inputs, "LARGE_PIXELS", 100 if large else 10**6)
    save_image(tmp_path / "a.png")
    broken = tmp_path / f"b{suffix}"
    broken.write_bytes(b"this is no image")
    for take in (lambda: read_images(str(tmp_path), 2), lambda: batch(str(tmp_path), 2, 8)):
        with pytest.raises(InputError, match="cannot be read: not a JPEG or PNG") as error:
            take()
        assert str(broken) in str(error.value)
        assert "\n" not in str(error.value)


def test_a_worker_that_dies_while_decoding_is_an_error_in_one_line_with_its_last_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "LARGE_PIXELS", 100)
    without_python = {**os.environ, "PYTHONHOME": str(tmp_path)}
    monkeypatch.setattr("xibench.workers.session.worker_environment", lambda: without_python)
    save_image(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"exited with code 1 during start, without a result \(.+\); make") as error:
        read_images(str(tmp_path), 1)
    assert "\n" not in str(error.value)


def test_a_truncated_image_is_an_error_naming_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "cut.jpg")
    path = tmp_path / "cut.jpg"
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(InputError, match=r"cut\.jpg cannot be read: .*truncated"):
        read_images(str(tmp_path), 8)


def test_an_empty_folder_is_an_error_naming_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.jpg, \.jpeg, \.png file in this folder or below") as error:
        read_images(str(tmp_path), 8)
    assert str(tmp_path) in str(error.value)


def test_a_missing_folder_is_an_error_naming_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: no such folder"):
        read_images(str(tmp_path / "nowhere"), 8)


def test_a_file_instead_of_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a file; name the folder"):
        read_images(str(save_image(tmp_path / "a.png")), 8)


def test_without_scikit_learn_the_error_names_alternatives_to_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install scikit-learn.*or name a folder"):
        read_images("sample", 8)
