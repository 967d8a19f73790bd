"""Single operators in each framework, at shapes of the networks; and what importing a framework takes."""

from __future__ import annotations

from typing import Any, Final

from .cases import VERSION, Cell, measured_in, samples

# Only append to these: they are keys of asv's history of a benchmark.
OPERATORS: Final = ("regular", "depthwise", "pointwise", "separable")
SHAPES: Final = ("entry_128_128", "middle_728_728")
BATCH: Final = 8


class _Operators:
    """The benchmarks of one framework, in recipe tuned and fp32."""

    framework: str
    params = (OPERATORS, SHAPES)
    param_names = ("operator", "shape")
    version = VERSION
    timeout = 1800.0

    def setup_cache(self) -> None:
        """Make asv run all benchmarks of a commit in one folder, where `cases` keeps what was measured."""

    def _cell(self, operator: str, shape: str) -> Cell:
        return Cell(self.framework, ("--operator", operator, "--variant", shape), "tuned", "fp32", BATCH)

    @measured_in("seconds")
    def track_seconds_per_image(self, operator: str, shape: str) -> dict[str, Any]:
        """Time per synchronised step, divided by the batch."""
        return samples(self._cell(operator, shape), lambda process: [s / BATCH for s in process.steps_s])

    @measured_in("seconds", params=[], param_names=[])
    def track_import_seconds(self) -> dict[str, Any]:
        """Time to import the framework and to initialise its device, with its files in the page cache."""
        return samples(self._cell("pointwise", SHAPES[-1]), lambda process: [process.import_s])


class PyTorchOperators(_Operators):
    """PyTorch."""

    framework = "pytorch"


class TensorFlowOperators(_Operators):
    """TensorFlow."""

    framework = "tensorflow"


class JAXOperators(_Operators):
    """JAX."""

    framework = "jax"
