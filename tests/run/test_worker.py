from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from frameworks.blueprint import Network
from frameworks.errors import MissingFramework, Unsupported
from frameworks.runtime import DeviceMemory, Recipe, Setting, Substitution
from frameworks.weights import Weights
from tests.builders import small_case
from xibench.measure.clock import FakeClock
from xibench.record.schema import Process, Rule
from xibench.run.inputs import save_batch
from xibench.run.messages import Answer, Measured, Phase, Refused, Request
from xibench.run.worker import answer_to


class FakeFramework:
    """A runtime and its subject in one, whose every action takes a known time on a fake clock."""

    substitutions = (Substitution("inductor", "no C++ compiler", "eager"),)

    def __init__(self, ahead: bool = True, trouble: Exception | None = None, output: float = 0.5) -> None:
        self.clock = FakeClock()
        self.done: list[str] = []
        self.ahead = ahead
        self.trouble = trouble
        self.output = output
        self.batch: NDArray[np.float32] | None = None

    def spend(self, what: str, seconds: float) -> None:
        self.done.append(what)
        self.clock.advance(seconds)

    def load(self, framework: str) -> FakeFramework:
        self.spend(f"load {framework}", 4.0)
        return self

    def touch(self, device: str) -> str:
        self.spend(f"touch {device}", 1.0)
        return "ACME"

    def devices(self) -> tuple[str, ...]:
        return ("cpu",)

    def recipe(self, name: str, device: str) -> Recipe:
        return Recipe(name, ())

    def prepare(self, network: Network, weights: Weights, recipe: str, precision: str, device: str) -> FakeFramework:
        self.spend(f"prepare {network.name} {network.variant} at {network.input_shape[0]}", 2.0)
        assert "block1.conv1.conv.kernel" in weights
        return self

    def put(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self.spend("put", 0.5)
        return batch

    def compile(self, batch: object) -> bool:
        self.spend("compile", 7.0)
        return self.ahead

    def step(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.trouble:
            raise self.trouble
        self.batch = batch
        return np.full((len(batch), 10), self.output, np.float32)

    def synchronise(self, output: object) -> None:
        self.spend("step", 0.25)

    def fetch(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        self.done.append("fetch")
        return output

    def settings(self) -> dict[str, Setting]:
        return {"threads": 2}

    def reset_device_memory(self) -> None:
        self.done.append("reset device memory")

    def device_memory(self) -> DeviceMemory | None:
        return None


def ask(tmp_path: Path, fake: FakeFramework) -> tuple[Measured | Refused, list[str]]:
    save_batch(tmp_path / "batch.npy", "noise", 2, 75)
    rule = Rule(warmup_steps=1, min_steps=2, max_steps=3)
    request = Request(case=small_case(batch=2), rule=rule, batch_file=str(tmp_path / "batch.npy"), order=4)
    phases: list[str] = []

    def say(answer: Answer) -> None:
        assert isinstance(answer, Phase)
        phases.append(answer.text)

    return answer_to(request, say, fake.load, fake.clock), phases


def measured(tmp_path: Path, fake: FakeFramework) -> Process:
    answer, _ = ask(tmp_path, fake)
    assert isinstance(answer, Measured), answer
    return answer.process


def test_a_case_is_imported_built_compiled_stepped_and_only_then_fetched(tmp_path: Path) -> None:
    fake = FakeFramework()
    _, phases = ask(tmp_path, fake)
    assert phases == ["import", "build", "compile", "first step", "warm-up", "timing"]
    assert fake.done == [
        "load pytorch", "touch cpu", "prepare xception narrow at 75", "reset device memory", "put", "compile",
        *["step"] * 5, "fetch",
    ]  # fmt: skip


def test_each_phase_has_its_own_time(tmp_path: Path) -> None:
    process = measured(tmp_path, FakeFramework())
    assert (process.import_s, process.build_s, process.compile_s) == (5.0, 2.5, 7.0)
    assert (process.first_step_s, process.warmup_s, process.steps_s) == (0.25, [0.25], [0.25] * 3)
    assert process.stopped_by == "max_steps 3"


def test_compilation_inside_the_first_step_is_null_with_the_reason(tmp_path: Path) -> None:
    process = measured(tmp_path, FakeFramework(ahead=False))
    assert process.compile_s is None
    assert "first step" in process.absent["compile_s"]


def test_every_null_of_a_process_has_a_reason(tmp_path: Path) -> None:
    process = measured(tmp_path, FakeFramework(ahead=False))
    fields = msgspec.structs.asdict(process) | msgspec.structs.asdict(process.memory)
    assert {name for name, value in fields.items() if value is None} == set(process.absent)
    assert process.absent["device_peak_allocated_bytes"] == "the case runs on the CPU"


def test_the_steps_see_the_batch_that_the_parent_wrote(tmp_path: Path) -> None:
    fake = FakeFramework()
    measured(tmp_path, fake)
    assert fake.batch is not None
    assert np.array_equal(fake.batch, np.load(tmp_path / "batch.npy"))


def test_settings_substitutions_and_output_are_recorded(tmp_path: Path) -> None:
    process = measured(tmp_path, FakeFramework())
    assert process.settings == {"threads": 2}
    assert process.substitutions[0].ran == "eager"
    assert process.output_mean == 0.5
    assert (process.order, process.device_name) == (4, "ACME")
    assert process.versions["python"].startswith("3.")
    assert process.memory.host_peak_bytes is None or process.memory.host_peak_bytes >= 0


def test_an_output_that_is_not_finite_is_a_failure(tmp_path: Path) -> None:
    answer, _ = ask(tmp_path, FakeFramework(output=float("nan")))
    assert isinstance(answer, Refused)
    assert answer.reason.endswith("the mean of the output is nan, expected a finite number; check the weights")


class OutOfMemoryError(RuntimeError):
    """Named like PyTorch's."""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MemoryError("Unable to allocate 8 GiB"), "out_of_memory"),
        (OutOfMemoryError("CUDA"), "out_of_memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes."), "out_of_memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried …"), "out_of_memory"),
        (RuntimeError("std::bad_alloc"), "out_of_memory"),
        (RuntimeError("shapes do not fit"), "failed"),
    ],
)
def test_running_out_of_memory_is_told_from_other_failures(
    tmp_path: Path, error: Exception, status: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer, _ = ask(tmp_path, FakeFramework(trouble=error))
    assert isinstance(answer, Refused)
    assert answer.status == status
    assert str(error) in answer.reason
    assert "Traceback" in capsys.readouterr().err


def test_out_of_memory_is_found_behind_another_error(tmp_path: Path) -> None:
    error = RuntimeError("the compiler failed")
    error.__cause__ = MemoryError()
    answer, _ = ask(tmp_path, FakeFramework(trouble=error))
    assert isinstance(answer, Refused)
    assert answer.status == "out_of_memory"


@pytest.mark.parametrize("error", [MissingFramework("torch is missing; pip install it"), Unsupported("sees no cuda")])
def test_what_cannot_be_run_here_is_unsupported_with_the_reason(tmp_path: Path, error: Exception) -> None:
    answer, _ = ask(tmp_path, FakeFramework(trouble=error))
    assert answer == Refused("unsupported", str(error))


def test_a_reason_is_one_line_however_long_the_error_is(tmp_path: Path) -> None:
    answer, _ = ask(tmp_path, FakeFramework(trouble=ValueError("a\nb\n" + "c" * 9999)))
    assert isinstance(answer, Refused)
    assert answer.reason.startswith("ValueError: a b ccc")
    assert len(answer.reason) == 300
