"""Networks in each framework: inference at 299 x 299 on the best device. Lower is better everywhere.

There is a class per framework and no framework parameter, so that `asv run --bench PyTorch` measures one alone and no
table has cells for a framework that was not asked for. Versions of the frameworks are those of the commit's
constraints.txt, so that an upgrade is a step in one curve.
"""

from __future__ import annotations

from typing import Any, Final

from .cases import HAS_GPU, HAS_METER, VERSION, Cell, measured_in, not_applicable, samples, undisturbed

# Only append to these: they are keys of asv's history of a benchmark.
MODELS: Final = ("xception", "inception_v3")
RECIPES: Final = {"default": ("default", "fp32"), "tuned": ("tuned", "fp32"), "tuned bf16": ("tuned", "bf16")}
BATCHES: Final = (1, 8)


class _Networks:
    """The benchmarks of one framework."""

    framework: str
    params = (MODELS, tuple(RECIPES), BATCHES)
    param_names = ("model", "recipe", "batch")
    version = VERSION
    timeout = 3600.0

    def setup_cache(self) -> None:
        """Make asv run all benchmarks of a commit in one folder, where `cases` keeps what was measured."""

    def _cell(self, model: str, recipe: str, batch: int) -> Cell:
        return Cell(self.framework, ("--model", model), *RECIPES[recipe], batch)

    @measured_in("seconds")
    def track_seconds_per_image(self, model: str, recipe: str, batch: int) -> dict[str, Any]:
        """Time per synchronised step, divided by the batch."""
        return samples(self._cell(model, recipe, batch), lambda process: [s / batch for s in process.steps_s])

    @measured_in("seconds")
    def track_first_result_seconds(self, model: str, recipe: str, batch: int) -> dict[str, Any]:
        """Time from the built network to the first result: compilation ahead of it, if any, and the first step."""
        return samples(
            self._cell(model, recipe, batch), lambda process: [(process.compile_s or 0.0) + process.first_step_s]
        )

    @measured_in("bytes")
    def track_peak_host_bytes(self, model: str, recipe: str, batch: int) -> dict[str, Any]:
        """Peak resident set above that of the imported framework, whose libraries depend on the installation."""
        return samples(
            self._cell(model, recipe, batch),
            lambda process: [process.memory.host_peak_bytes - process.memory.host_baseline_bytes],
        )

    if HAS_GPU:

        @measured_in("bytes")
        def track_peak_device_bytes(self, model: str, recipe: str, batch: int) -> dict[str, Any]:
            """Peak of the framework's allocator on the device."""
            return samples(
                self._cell(model, recipe, batch), lambda process: [process.memory.device_peak_allocated_bytes]
            )

    if HAS_METER:

        @measured_in("joules")
        def track_joules_per_image(self, model: str, recipe: str, batch: int) -> float:
            """Energy of the GPUs and the processor's packages over the timed steps, as far as each is counted."""
            from xibench.record.summary import summarise

            joules = summarise(undisturbed(self._cell(model, recipe, batch))).joules_per_image
            return not_applicable("no process has this figure") if joules is None else joules

    @measured_in("relative to float64", params=(MODELS, tuple(RECIPES)[1:]), param_names=("model", "recipe"))
    def track_deviation(self, model: str, recipe: str) -> float:
        """Root mean square of the difference of the logits from float64, relative, for a batch of one.

        Recipe default has none: it is what the others are held to.
        """
        processes = undisturbed(self._cell(model, recipe, 1)).processes
        return float(max(process.equality.rms_error for process in processes))


class PyTorch(_Networks):
    """PyTorch."""

    framework = "pytorch"


class TensorFlow(_Networks):
    """TensorFlow."""

    framework = "tensorflow"


class JAX(_Networks):
    """JAX."""

    framework = "jax"


class Exact:
    """Figures that depend on the architecture alone, and must not change unless it does."""

    params = (MODELS,)
    param_names = ("model",)
    version = VERSION

    @measured_in("MACs")
    def track_macs(self, model: str) -> int:
        """Multiply-accumulate operations for one image."""
        from frameworks.architectures import network
        from frameworks.cost import cost

        return cost(network(model)).macs

    @measured_in("parameters")
    def track_parameters(self, model: str) -> int:
        """Trainable parameters."""
        from frameworks.architectures import network
        from frameworks.cost import cost

        return cost(network(model)).parameters_trainable
