"""Photographs as a network's input: decoded once, before a framework starts, and the same for every framework.

A photograph is cut to its largest centred square, resized and scaled to -1..1, the input range of both networks'
published weights (keras.applications: `preprocess_input` in mode "tf").

Large photographs are decoded in a worker, so that the parent of a run stays small.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from frameworks.architectures import network
from xibench.errors import InputError, StoreError
from xibench.record.schema import Case, InputImages
from xibench.workers import interpreters
from xibench.workers.messages import BatchWritten, WriteBatch
from xibench.workers.session import last_line, run_worker

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NOISE: Final = "noise"
"""The source that needs no photographs, and the only one of operators: their inputs have more than three channels."""
SAMPLE: Final = ("china.jpg", "flower.jpg")
SUFFIXES: Final = (".jpg", ".jpeg", ".png")
LARGE_PIXELS: Final = 1 << 20  # decoding that many takes some 20 MiB
CHUNK_BYTES: Final = 1 << 20
COLOURS: Final = 3
PREPARATION: Final = (
    "a folder's files by name, then its subfolders', as many as the largest batch has images; "
    "turned upright, RGB, largest centred square, bilinear (Pillow) to the resolution, float32 x / 127.5 - 1; "
    "repeated in order where the batch has more images than there are photographs"
)
HOW_NOISE: Final = "standard normal float32 from the case's seed (NumPy PCG64), cut to -1..1"


def pictures(source: str, most: int) -> InputImages:
    """The photographs of a source: `sample`, `noise`, or a folder.

    most: images in the largest batch; a folder has that many of its photographs taken, or all if there are fewer. Its
    own files come first, by name, then those of its subfolders. `sample` is the two photographs that scikit-learn
    ships. Each one is decoded here, so that trouble shows before anything is measured.
    Raises InputError, naming the file or folder.
    """
    if source == NOISE:
        return InputImages(source=source, files=[], digest=hashlib.sha256().hexdigest(), preparation=HOW_NOISE)
    root, paths = _find(source, most)
    save_batch(Path(os.devnull), source, len(paths), 32)
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    names = [path.relative_to(root).as_posix() for path in paths]
    return InputImages(source=source, files=names, digest=digest.hexdigest(), preparation=PREPARATION)


def save_batch(
    path: Path, source: str, batch: int, resolution: int, seed: int = 0, channels: int = COLOURS
) -> None:
    """Writes a batch for workers to map: .npy, float32, (batch, resolution, resolution, channels), scaled to -1..1.

    channels: an operator's, for which there is noise only.

    Raises InputError as `pictures` does, StoreError if the file cannot be written.
    """
    large = resolution**2 > LARGE_PIXELS or (source != NOISE and any(map(_is_large, _find(source, batch)[1])))
    write = _write_in_worker if large else write_batch
    write(path, source, batch, (resolution, resolution, channels), seed)


def batch_path(case: Case, folder: Path) -> Path:
    """Where a case's batch lies: cases that share one share the file."""
    kind = "noise" if case.images == NOISE else "pictures"
    return folder / f"batch-{kind}-{case.batch}x{case.resolution}x{_channels(case)}.npy"


def batch_file(case: Case, folder: Path) -> Path:
    """The case's batch, written unless it is there. Raises as `save_batch` does."""
    path = batch_path(case, folder)
    if not path.exists():
        save_batch(path, case.images, case.batch, case.resolution, case.seed, _channels(case))
    return path


def _channels(case: Case) -> int:
    return network(case.model, case.variant, resolution=case.resolution).input_shape[2]


def prepared(path: Path, resolution: int) -> NDArray[np.float32]:
    """One photograph as (resolution, resolution, 3) in -1..1. Raises InputError, naming the file."""
    import numpy as np
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=("JPEG", "PNG")) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except Exception as error:  # a broken file makes Pillow raise nearly anything: OSError, SyntaxError, ValueError …
        why = "not a JPEG or PNG" if type(error).__name__ == "UnidentifiedImageError" else str(error)
        raise InputError(f"image {path} cannot be read: {why}; remove it from the folder or replace it") from None
    side = min(upright.size)
    left, top = (upright.width - side) // 2, (upright.height - side) // 2
    box = (left, top, left + side, top + side)
    square = upright.resize((resolution, resolution), Image.Resampling.BILINEAR, box)
    return np.asarray(square, np.float32) / np.float32(127.5) - np.float32(1)


def write_batch(path: Path, source: str, batch: int, shape: tuple[int, int, int], seed: int) -> None:
    """Writes the batch in this process, one image at a time: no more than one is ever in memory.

    Raises as `save_batch` does.
    """
    import numpy as np

    header = {"descr": "<f4", "fortran_order": False, "shape": (batch, *shape)}
    try:
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for image in itertools.islice(_images(source, batch, shape, seed), batch):
                file.write(image.astype("<f4", copy=False).tobytes())
    except OSError as error:
        raise StoreError(
            f"the batch of {batch} images cannot be written to {path.parent}: {error.strerror}; "
            "make room there, or name another folder in TMPDIR"
        ) from None


def _write_in_worker(path: Path, source: str, batch: int, shape: tuple[int, int, int], seed: int) -> None:
    """Does what `write_batch` does in a process of its own, whose memory is given back. Raises what that raises."""
    request = WriteBatch(file=os.fsencode(path), source=os.fsencode(source), batch=batch, shape=shape, seed=seed)
    outcome = run_worker(
        interpreters.worker_command(), interpreters.environment(), request, BatchWritten, time_limit_s=math.inf
    )
    written = outcome.result
    if written is None:
        raise InputError(
            f"images {source}: they could not be decoded: {outcome.reason} ({last_line(outcome.log)}); "
            "make the photographs smaller, or name another folder"
        )
    if written.store_error is not None:
        raise StoreError(os.fsdecode(written.store_error))
    if written.input_error is not None:
        raise InputError(os.fsdecode(written.input_error))


def _is_large(path: Path) -> bool:
    """Whether decoding would take more memory than a small process has to spare, by the file's header alone."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the user's own photograph
        try:
            with Image.open(path, formats=("JPEG", "PNG")) as opened:
                return opened.width * opened.height > LARGE_PIXELS
        except Exception:  # whatever is wrong with it, `prepared` says so, as early
            return False


def _images(source: str, most: int, shape: tuple[int, int, int], seed: int) -> Iterator[NDArray[np.float32]]:
    """Endless: the source's images in order, again and again."""
    if source == NOISE:
        import numpy as np

        random = np.random.default_rng(seed)
        while True:
            yield np.clip(random.standard_normal(shape, np.float32), -1, 1)
    for path in itertools.cycle(_find(source, most)[1]):
        yield prepared(path, shape[0])


def _find(source: str, most: int) -> tuple[Path, list[Path]]:
    """The folder of a source and its photographs: both of the sample's, at most `most` of any other folder's."""
    if source == "sample":
        root = _sample_folder()
        return root, [root / name for name in SAMPLE]
    root = Path(source)
    if not root.exists():
        raise InputError(f"images {source}: no such folder; name a folder of JPEG or PNG files, `sample` or `noise`")
    if not root.is_dir():
        raise InputError(f"images {source} is a file; name the folder that it lies in")
    found = list(itertools.islice(_walk(root), most))
    if not found:
        wanted = ", ".join(SUFFIXES)
        raise InputError(f"images {source}: no {wanted} file in this folder or below; name another, or `sample`")
    return root, found


def _walk(root: Path) -> Iterator[Path]:
    """Files of a folder in order of their names, then those of its folders; lists no folder that is not needed."""
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield Path(folder, name)


def _sample_folder() -> Path:
    spec = importlib.util.find_spec("sklearn")  # found, not imported: the parent stays small
    for place in (spec and spec.submodule_search_locations) or ():
        folder = Path(place, "datasets", "images")
        if all((folder / name).is_file() for name in SAMPLE):
            return folder
    raise InputError(
        "images sample: scikit-learn, which ships the two photographs, is not installed; "
        "`pip install scikit-learn`, or name a folder or `noise`"
    )
