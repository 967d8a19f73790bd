"""Input images of a network: decoded once, before a framework starts, and the same for every framework.

An image is cropped to its largest centred square, resized and scaled to -1..1, the input range of both networks'
published weights (keras.applications: `preprocess_input` in mode "tf"). Large images are decoded in a worker, so that
the parent of a run stays small.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import itertools
import math
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from frameworks.architectures import network
from xibench.errors import InputError, StoreError
from xibench.measure.phase import PhaseListener
from xibench.record.format import size
from xibench.record.schema import Case, InputImages
from xibench.record.text import escaped
from xibench.workers import session
from xibench.workers.messages import BatchWritten, WriteBatch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NOISE: Final = "noise"
"""The source that reads no files, and the only one for operators: their inputs have more than three channels."""
SAMPLE: Final = ("china.jpg", "flower.jpg")
SUFFIXES: Final = (".jpg", ".jpeg", ".png")
LARGE_PIXELS: Final = 1 << 20  # decoding an image of this size takes about 20 MiB
CHUNK_BYTES: Final = 1 << 20
COLOURS: Final = 3
PREPARATION: Final = (
    "a folder's files by name, then its subfolders', as many as the largest batch has images; "
    "turned upright, RGB, largest centred square, bilinear (Pillow) to the resolution, float32 x / 127.5 - 1; "
    "repeated in order where the batch has more images than there are photographs"
)
HOW_NOISE: Final = "standard normal float32 from the case's seed (NumPy PCG64), cut to -1..1"


def read_images(source: str, max_images: int) -> InputImages:
    """Return the images of a source with a digest of their bytes.

    Each image is decoded once, so that errors are reported before anything is measured.

    Args:
        source: `sample` (the two images that scikit-learn ships), `noise`, or a folder. A folder's own files come
            first, by name, then those of its subfolders.
        max_images: Number of images in the largest batch, which is the number taken from a folder at most.

    Raises:
        InputError: A file or folder cannot be read; the message names it.
    """
    if source == NOISE:
        return InputImages(source=source, files=[], digest=hashlib.sha256().hexdigest(), preparation=HOW_NOISE)
    root, paths = _find(source, max_images)
    save_batch(Path(os.devnull), source, len(paths), 32)
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    names = [escaped(path.relative_to(root).as_posix()) for path in paths]
    return InputImages(source=source, files=names, digest=digest.hexdigest(), preparation=PREPARATION)


def batch_file(case: Case, folder: Path, keep_others: bool = True) -> Path:
    """Return the file with a case's batch, which all cases with the same batch share; write it if it does not exist.

    Args:
        case: The case.
        folder: The folder of the batches.
        keep_others: Whether to keep the folder's other batches when this one is written.

    Raises:
        InputError, StoreError: As `save_batch` raises them.
    """
    channels = network(case.model, case.variant, resolution=case.resolution).input_shape[2]
    kind = "noise" if case.images == NOISE else "images"
    path = folder / f"batch-{kind}-{case.batch}x{case.resolution}x{channels}.npy"
    if not path.exists():
        if not keep_others:
            for other in folder.glob("batch-*.npy"):
                other.unlink()
        save_batch(path, case.images, case.batch, case.resolution, case.seed, channels)
    return path


def save_batch(
    path: Path, source: str, batch: int, resolution: int, seed: int = 0, channels: int = COLOURS
) -> None:
    """Write a batch that workers map: .npy, float32, (batch, resolution, resolution, channels), in -1..1.

    Args:
        path: The file to write.
        source: As in `read_images`.
        batch: Number of images.
        resolution: Height and width.
        seed: Of the noise.
        channels: Number of channels; other than three for noise only.

    Raises:
        InputError: A file or folder cannot be read; the message names it.
        StoreError: The batch does not fit on the disk or cannot be written.
    """
    needed, free = 4 * batch * resolution**2 * channels, shutil.disk_usage(path.parent).free
    if path != Path(os.devnull) and needed > free:
        raise StoreError(
            f"the batch of {batch} images takes {size(needed)}, {size(free)} are free in {path.parent}; "
            "make room there, or name another folder in TMPDIR"
        )

    # Decoding a large image takes more memory than a small process has to spare. A file's header has its size.
    large = resolution**2 > LARGE_PIXELS
    if not large and source != NOISE:
        from PIL import Image

        for image in _find(source, batch)[1]:
            with warnings.catch_warnings(), contextlib.suppress(Exception):  # `decoded` reports a damaged file
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the image is the user's own
                with Image.open(image, formats=("JPEG", "PNG")) as opened:
                    large |= opened.width * opened.height > LARGE_PIXELS
    write = _write_in_worker if large else write_batch
    write(path, source, batch, (resolution, resolution, channels), seed)


def write_batch(path: Path, source: str, batch: int, shape: tuple[int, int, int], seed: int) -> None:
    """Write a batch in this process, with at most one image in memory at a time. Raises as `save_batch` does.

    Args:
        path: The file to write.
        source: As in `read_images`.
        batch: Number of images; a source with fewer images is repeated.
        shape: Height, width and channels.
        seed: Of the noise.
    """
    import numpy as np

    if source == NOISE:
        random = np.random.default_rng(seed)
        images = (np.clip(random.standard_normal(shape, np.float32), -1, 1) for _ in range(batch))
    else:
        paths = itertools.islice(itertools.cycle(_find(source, batch)[1]), batch)
        images = (decoded(image, shape[0]) for image in paths)
    header = {"descr": "<f4", "fortran_order": False, "shape": (batch, *shape)}
    try:
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for image in images:
                file.write(image.astype("<f4", copy=False).tobytes())
    except OSError as error:
        raise StoreError(
            f"the batch of {batch} images cannot be written to {path.parent}: {error.strerror}; "
            "make room there, or name another folder in TMPDIR"
        ) from None


def decoded(path: Path, resolution: int) -> NDArray[np.float32]:
    """Return one image as (resolution, resolution, 3) in -1..1. Raises InputError with the name of the file."""
    import numpy as np
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=("JPEG", "PNG")) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except Exception as error:  # Pillow may raise anything for a broken file: OSError, SyntaxError, ValueError …
        why = "not a JPEG or PNG" if type(error).__name__ == "UnidentifiedImageError" else str(error)
        raise InputError(f"image {path} cannot be read: {why}; remove it from the folder or replace it") from None
    side = min(upright.size)
    left, top = (upright.width - side) // 2, (upright.height - side) // 2
    box = (left, top, left + side, top + side)
    square = upright.resize((resolution, resolution), Image.Resampling.BILINEAR, box)
    return np.asarray(square, np.float32) / np.float32(127.5) - np.float32(1)


def _write_in_worker(path: Path, source: str, batch: int, shape: tuple[int, int, int], seed: int) -> None:
    """Call `write_batch` in a process of its own, whose memory is released. Raises what that raises."""
    request = WriteBatch(file=os.fsencode(path), source=os.fsencode(source), batch=batch, shape=shape, seed=seed)
    outcome = session.run_worker(
        session.worker_command(), session.worker_environment(), request, BatchWritten, time_limit_s=math.inf
    )
    written = outcome.result
    if written is None:
        raise InputError(
            f"images {source}: they could not be decoded: {outcome.reason} ({session.last_line(outcome.log)}); "
            "make the images smaller, or name another folder"
        )
    if written.store_error is not None:
        raise StoreError(os.fsdecode(written.store_error))
    if written.input_error is not None:
        raise InputError(os.fsdecode(written.input_error))


def write_requested_batch(request: WriteBatch, listener: PhaseListener) -> BatchWritten:
    """Job: write a batch for the parent. Errors in an image or in writing the file are part of the answer."""
    listener.on_progress("decoding")
    warnings.simplefilter("ignore")  # the output is only read if this process dies
    try:
        path, source = Path(os.fsdecode(request.file)), os.fsdecode(request.source)
        write_batch(path, source, request.batch, request.shape, request.seed)
    except InputError as error:
        return BatchWritten(input_error=os.fsencode(str(error)))
    except StoreError as error:
        return BatchWritten(store_error=os.fsencode(str(error)))
    return BatchWritten()


def _find(source: str, max_images: int) -> tuple[Path, list[Path]]:
    """Return the folder of a source and its images: both of the sample, or at most `max_images` of another folder."""
    if source == "sample":
        spec = importlib.util.find_spec("sklearn")  # located, not imported: the parent stays small
        for place in (spec and spec.submodule_search_locations) or ():
            folder = Path(place, "datasets", "images")
            if all((folder / name).is_file() for name in SAMPLE):
                return folder, [folder / name for name in SAMPLE]
        raise InputError(
            "images sample: scikit-learn, which includes the two images, is not installed; "
            "`pip install scikit-learn`, or name a folder or `noise`"
        )
    root = Path(source)
    if not root.exists():
        raise InputError(f"images {source}: no such folder; name a folder of JPEG or PNG files, `sample` or `noise`")
    if not root.is_dir():
        raise InputError(f"images {source} is a file; name the folder that it lies in")
    found = list(itertools.islice(_walk(root), max_images))
    if not found:
        expected = ", ".join(SUFFIXES)
        raise InputError(f"images {source}: no {expected} file in this folder or below; name another, or `sample`")
    return root, found


def _walk(root: Path) -> Iterator[Path]:
    """Yield the image files of a folder by name, then those of its subfolders, which are listed lazily."""
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield Path(folder, name)
