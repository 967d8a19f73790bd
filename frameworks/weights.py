"""Weights by canonical name: seeded initialisation, and reading and writing safetensors files.

Canonical layouts: convolution HWIO, depthwise (height, width, 1, channels), dense (in, out), everything else
(channels,). Initial values and files are float32; a framework converts dtype and layout once, when it builds a model.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from numbers import Integral
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from frameworks.blueprint import Network, Parameter, parameters
from frameworks.errors import InvalidWeights

if TYPE_CHECKING:  # NumPy is imported where arrays are made: checking a file does not need it
    import numpy as np
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[np.floating[Any]]"
Weights: TypeAlias = "Mapping[str, Array]"
WeightSource: TypeAlias = "Weights | str | Path | int | None"
"""A mapping, the path of a safetensors file, or a seed (None means seed 0)."""


def resolve(network: Network, source: WeightSource) -> Weights:
    """The network's weights from any source. Raises InvalidWeights for anything else, or if they do not match."""
    if source is None:
        return initial(network)
    if isinstance(source, (str, Path)):
        source = load(source)
    if isinstance(source, Mapping):
        import numpy as np

        arrays: dict[str, Array] = {}
        for name, value in source.items():
            try:
                arrays[name] = np.asarray(value)  # also of JAX's arrays, and of PyTorch's tensors outside autograd
            except Exception as error:  # a framework's own type may raise anything
                raise InvalidWeights(
                    f"weights for {network.name}: '{name}' is a {type(value).__name__} ({error}), expected a NumPy "
                    "array"
                ) from None
            if arrays[name].dtype.kind in "OSUMmc":
                raise InvalidWeights(
                    f"weights for {network.name}: '{name}' has dtype {arrays[name].dtype}, expected real numbers, such "
                    "as float32"
                )
        check(network, arrays)
        return arrays
    seed: Any = source  # a caller may pass anything
    if isinstance(seed, bool) or not isinstance(seed, Integral) or int(seed) < 0:
        raise InvalidWeights(
            f"weights for {network.name}: received {repr(seed)[:80]}, expected a seed (a whole number from 0 up), "
            "the path of a safetensors file, or a mapping of NumPy arrays by canonical name"
        )
    return initial(network, int(seed))


def initial(network: Network, seed: int = 0) -> dict[str, Array]:
    """Seeded initial weights, the same on every machine and in every framework.

    Each parameter has its own generator, seeded by (seed, name), so adding a layer does not change the others.
    Kernels: normal with variance 2 / fan_in (He et al. 2015, arXiv 1502.01852), or 1 / fan_in where no ReLU follows in
    effect (a 1 x 1 after a depthwise convolution, the logits). Batch-norm scale, offset and running statistics are
    random around 1 and 0, so that an error in how any of them is used changes the output. Activations stay far from the
    limits of every precision; along Xception's residual connections they grow from block to block.

    Args:
        network: the blueprint.
        seed: any whole number from 0 up.

    Returns:
        Float32 arrays by canonical name.
    """
    return sample(parameters(network), seed)


def sample(which: Iterable[Parameter], seed: int) -> dict[str, Array]:
    """Seeded initial values of single parameters, by the rules of `initial`."""
    import numpy as np

    sampled: dict[str, Array] = {}
    for parameter in which:
        random = np.random.default_rng([seed, zlib.crc32(parameter.name.encode())])
        shape = parameter.shape
        values: Array
        match parameter.role:
            case "kernel":
                linear = parameter.name.endswith(("pointwise.kernel", "predictions.kernel"))
                values = random.standard_normal(shape) * np.sqrt((1 if linear else 2) / parameter.fan_in)
            case "scale" | "variance":
                values = np.exp(random.uniform(-0.25, 0.25, shape))
            case _:
                values = 0.1 * random.standard_normal(shape)
        sampled[parameter.name] = values.astype(np.float32)
    return sampled


def digest(weights: Weights) -> str:
    """SHA-256 of names, shapes and values (little-endian float32), in the order of the names.

    NumPy does not guarantee that a seed gives the same numbers in every version (NEP 19): two runs used the same seeded
    weights only if their digests agree.
    """
    import numpy as np

    found = hashlib.sha256()
    for name in sorted(weights):
        found.update(f"{name} {weights[name].shape}\n".encode())
        found.update(np.ascontiguousarray(weights[name], dtype="<f4").data)
    return found.hexdigest()


class HasShape(Protocol):
    """An array, or what is known of it without its values."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""


def check(network: Network, weights: Mapping[str, HasShape]) -> None:
    """Raise InvalidWeights if a parameter is missing, unexpected, or of the wrong shape; the message names one."""
    expected = {p.name: p.shape for p in parameters(network)}
    for name, shape in expected.items():
        if name not in weights:
            raise InvalidWeights(f"weights for {network.name}: '{name}' is missing, expected an array of shape {shape}")
        if weights[name].shape != shape:
            raise InvalidWeights(
                f"weights for {network.name}: '{name}' has shape {weights[name].shape}, expected {shape}"
            )
    left_over = sorted(set(weights) - set(expected))
    if left_over:
        raise InvalidWeights(
            f"weights for {network.name}: '{left_over[0]}' is not a parameter of it ({len(left_over)} unexpected); "
            "was the file written for another variant?"
        )


def check_file(network: Network, path: str | Path) -> None:
    """Raise InvalidWeights as `load` and `check` do, but read only the header of the safetensors file."""
    from safetensors import safe_open

    with _readable(path), safe_open(str(path), framework="numpy") as file:
        names = file.keys()
        arrays = {name: SimpleNamespace(shape=tuple(file.get_slice(name).get_shape())) for name in names}
    check(network, arrays)


def running_statistics(weights: Weights) -> dict[str, Array]:
    """Only the running means and variances."""
    return {name: array for name, array in weights.items() if name.endswith((".mean", ".variance"))}


def save(path: str | Path, network: Network, weights: Weights) -> None:
    """Write a safetensors file with canonical names and the network's name and configuration as metadata.

    Raises InvalidWeights if the weights do not match the network.
    """
    import numpy as np
    from safetensors.numpy import save_file

    check(network, weights)
    described = {"model": network.name, "variant": network.variant, "config": asdict(network.config)}
    arrays = {name: np.ascontiguousarray(array) for name, array in weights.items()}
    save_file(arrays, str(path), {"network": json.dumps(described)})  # one key: the order of several is random


def load(path: str | Path) -> dict[str, Array]:
    """Read a safetensors file. Raises InvalidWeights if it does not exist or is no safetensors file."""
    from safetensors.numpy import load_file

    with _readable(path):
        arrays: dict[str, Array] = load_file(str(path))
    return arrays


@contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    """Raise InvalidWeights for any error of safetensors about a file that it cannot read."""
    from safetensors import SafetensorError

    try:
        yield
    except FileNotFoundError:
        raise InvalidWeights(f"weights: no file at {path}; `xibench weights init MODEL` writes one") from None
    except (SafetensorError, OSError) as error:
        raise InvalidWeights(
            f"weights: {path} is not a safetensors file that can be read ({error}); "
            "`xibench weights init MODEL` writes one"
        ) from None
