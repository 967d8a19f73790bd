from __future__ import annotations

from itertools import groupby
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from frameworks.architectures import network
from frameworks.blueprint import Network
from frameworks.errors import MissingFramework, Unsupported
from frameworks.manifest import CompiledMemory, DeviceMemory, Readings, Substitution
from frameworks.recipes import Device, Execution
from frameworks.task import Batch, Task
from frameworks.task import Result as StepResult
from frameworks.weights import Weights, digest, initial
from tests.builders import small_case
from tests.measure.fake_clock import FakeClock
from tests.workers.listener import RecordingListener
from xibench.measure.machine import buffers_needed
from xibench.measure.phase import Phase
from xibench.measure.statistics import samples_needed
from xibench.record.schema import Case, Compile, Process, Sampled, SamplingConfig, Server
from xibench.run.plan import execution
from xibench.scenarios import sampling as scenario_sampling
from xibench.scenarios import server
from xibench.workers.__main__ import answer_to
from xibench.workers.case import measure_case
from xibench.workers.inputs import save_batch
from xibench.workers.messages import Failure, MeasureCase, Measured, Result


class FakeFramework:
    """An implementation and its program in one; each action takes a known time on a fake clock."""

    substitutions: tuple[Substitution, ...] = (Substitution("inductor", "no C++ compiler", "eager"),)

    def __init__(self, ahead: bool = True, error_to_raise: Exception | None = None, output: float = 0.5) -> None:
        self.clock = FakeClock()
        self.done: list[str] = []
        self.ahead = ahead
        self.error_to_raise = error_to_raise
        self.output = output
        self.batch: NDArray[np.float32] | None = None
        self.seen: list[int] = []  # which array each step took
        self.step_s = [0.25]  # the last one goes on
        self.device_s: float | None = None

    def spend(self, what: str, seconds: float) -> None:
        self.done.append(what)
        self.clock.advance(seconds)

    def load(self, framework: str) -> FakeFramework:
        self.spend(f"load {framework}", 4.0)
        return self

    def touch(self, device: str) -> str:
        self.spend(f"touch {device}", 1.0)
        return "ACME"

    def devices(self) -> tuple[Device, ...]:
        return ("cpu",)

    def prepare(self, network: Network, weights: Weights, execution: Execution, task: Task) -> FakeFramework:
        self.spend(f"prepare {network.name} {network.variant} at {network.input_shape[0]}", 2.0)
        assert "block1.conv1.conv.kernel" in weights
        return self

    def put(self, batch: Batch) -> NDArray[np.float32]:
        self.spend("put", 0.5)
        return np.array(batch.images)

    def compile(self, batch: object) -> bool:
        self.spend("compile", 7.0)
        return self.ahead

    def step(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.error_to_raise:
            raise self.error_to_raise
        self.batch = batch
        self.seen.append(id(batch))
        return np.full((len(batch), 10), self.output, np.float32)

    def synchronise(self, output: object) -> None:
        self.spend("step", self.step_s[0])
        del self.step_s[: len(self.step_s) > 1]

    def query(self, batch: Batch) -> StepResult:
        output = self.step(batch.images)
        self.synchronise(output)
        return {"logits": output}

    def device_step_s(self) -> float | None:
        return self.device_s

    def readings(self) -> Readings:
        unknown = ("compiled_argument_bytes", "compiled_output_bytes", "compiled_code_bytes")
        absent = dict.fromkeys(unknown, "the compiler does not tell") | {"device_steps_s": "there is no such clock"}
        return Readings({"threads": 2}, CompiledMemory(temporary_bytes=77), absent)

    def result(self, output: NDArray[np.float32]) -> StepResult:
        self.done.append("result")
        return {"logits": output}

    def reset_device_memory(self) -> None:
        self.done.append("reset device memory")

    def device_memory(self) -> DeviceMemory | None:
        return None


SAMPLING = SamplingConfig(
    warmup_steps=1, max_warmup_steps=1, min_steps=2, max_steps=3, half_width=None, time_limit_s=3600.0
)


def ask(
    tmp_path: Path, fake: FakeFramework, case: Case | None = None, sampling: SamplingConfig = SAMPLING
) -> tuple[Result | Failure, list[Phase | str]]:
    case = case or small_case(batch=2)
    save_batch(tmp_path / "batch.npy", "noise", case.batch, 75)
    batch_file = str(tmp_path / "batch.npy")
    request = MeasureCase(
        case=case, execution=msgspec.to_builtins(execution(case)), sampling=sampling, batch_file=batch_file, order=4
    )
    listener = RecordingListener()
    return answer_of(request, fake, listener), listener.heard


def answer_of(request: MeasureCase, fake: FakeFramework, listener: RecordingListener) -> Result | Failure:
    """Return the answer of a worker."""

    def run_job(asked: MeasureCase, heard: RecordingListener) -> Measured:
        return Measured(process=measure_case(asked, heard, fake.load, fake.clock))

    return answer_to(request, listener, run_job)


def measured(
    tmp_path: Path, fake: FakeFramework, case: Case | None = None, sampling: SamplingConfig = SAMPLING
) -> Process:
    answer, _ = ask(tmp_path, fake, case, sampling)
    assert isinstance(answer, Measured), answer
    return answer.process


def samples(process: Process) -> Sampled:
    assert process.sampled is not None
    return process.sampled


@pytest.fixture
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with an unknown last-level cache, on which the batch is not rotated."""
    monkeypatch.setattr(scenario_sampling, "last_level_cache_bytes", lambda: None)


@pytest.mark.usefixtures("no_cache")
def test_a_case_is_imported_built_compiled_stepped_and_only_then_read(tmp_path: Path) -> None:
    fake = FakeFramework()
    _, phases = ask(tmp_path, fake)
    assert phases == list(Phase)[1:]
    begun = [what for what, _ in groupby(fake.done)]
    assert begun == [
        "load pytorch", "touch cpu", "prepare xception narrow at 75", "reset device memory", "put", "compile", "step",
        "result", "step",
    ]  # fmt: skip
    assert fake.done.index("result") == 6 + 5


def test_each_phase_has_its_own_time(tmp_path: Path) -> None:
    process = measured(tmp_path, FakeFramework())
    assert (process.import_s, process.build_s, process.compile_s) == (5.0, 2.5, 7.0)
    assert (process.first_step_s, process.warmup_s, process.steps_s) == (0.25, [0.25], [0.25] * 3)
    assert samples(process).stopped_by == "max_steps 3"


def test_compilation_inside_the_first_step_is_null_with_the_reason(tmp_path: Path) -> None:
    process = measured(tmp_path, FakeFramework(ahead=False))
    assert process.compile_s is None
    assert "first step" in process.absent["compile_s"]


def test_every_null_of_a_process_has_a_reason(tmp_path: Path) -> None:
    process = measured(tmp_path, FakeFramework(ahead=False))
    fields = msgspec.structs.asdict(process) | msgspec.structs.asdict(process.memory)
    fields |= msgspec.structs.asdict(process.clock) | msgspec.structs.asdict(samples(process))
    assert {name for name, value in fields.items() if value is None} == set(process.absent)
    nulls = {name for name, value in msgspec.structs.asdict(process.energy).items() if value is None}
    assert nulls == set(process.energy.absent)
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
    assert isinstance(answer, Failure)
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
    answer, _ = ask(tmp_path, FakeFramework(error_to_raise=error))
    assert isinstance(answer, Failure)
    assert answer.status == status
    assert str(error) in answer.reason
    assert "Traceback" in capsys.readouterr().err


def test_out_of_memory_is_found_behind_another_error(tmp_path: Path) -> None:
    error = RuntimeError("the compiler failed")
    error.__cause__ = MemoryError()
    answer, _ = ask(tmp_path, FakeFramework(error_to_raise=error))
    assert isinstance(answer, Failure)
    assert answer.status == "out_of_memory"


@pytest.mark.parametrize("error", [MissingFramework("torch is missing; pip install it"), Unsupported("sees no cuda")])
def test_what_cannot_be_run_here_is_unsupported_with_the_reason(tmp_path: Path, error: Exception) -> None:
    answer, _ = ask(tmp_path, FakeFramework(error_to_raise=error))
    missing = isinstance(error, MissingFramework)
    assert answer == Failure(status="unsupported", reason=str(error), missing=missing)


def test_a_reason_is_one_line_however_long_the_error_is(tmp_path: Path) -> None:
    answer, _ = ask(tmp_path, FakeFramework(error_to_raise=ValueError("a\nb\n" + "c" * 9999)))
    assert isinstance(answer, Failure)
    assert answer.reason.startswith("ValueError: a b ccc")
    assert len(answer.reason) == 300


def test_warm_up_goes_on_while_steps_still_get_faster(tmp_path: Path) -> None:
    fake = FakeFramework()
    fake.step_s = [5.0, *(2.0 - n / 10 for n in range(10)), 0.5]
    process = measured(tmp_path, fake, sampling=SamplingConfig(warmup_budget_s=1e9, min_steps=2, max_steps=3))
    assert len(process.warmup_s) > 10
    assert samples(process).warmup_stopped_by == "no trend"
    assert process.steps_s == [0.5] * 3


def test_a_warm_up_that_was_cut_off_says_so(tmp_path: Path) -> None:
    fake = FakeFramework()
    fake.step_s = [5.0, *(2.0 - n / 10 for n in range(10)), 0.5]
    process = measured(tmp_path, fake, sampling=SamplingConfig(max_warmup_steps=6, min_steps=2, max_steps=3))
    assert samples(process).warmup_stopped_by == "max_warmup_steps 6"


def test_sampling_stops_once_the_median_is_known_well_enough(tmp_path: Path) -> None:
    sampling = SamplingConfig(warmup_steps=0, min_steps=3, max_steps=100, budget_s=1e9, half_width=0.01)
    process = measured(tmp_path, FakeFramework(), sampling=sampling)
    assert samples(process).stopped_by == "half_width 0.01"
    assert 3 <= len(process.steps_s) < 100


def test_the_batch_is_rotated_where_it_would_wait_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake, batch_bytes = FakeFramework(), 2 * 75 * 75 * 3 * 4
    monkeypatch.setattr(scenario_sampling, "last_level_cache_bytes", lambda: 2 * batch_bytes)
    process = measured(tmp_path, fake, sampling=SamplingConfig(max_warmup_steps=2, min_steps=6, max_steps=6))
    copies = buffers_needed(batch_bytes, 2 * batch_bytes)
    assert samples(process).input_buffers == copies == len(set(fake.seen)) > 1
    assert all(fake.seen.count(one) >= 9 // copies for one in fake.seen)


@pytest.mark.usefixtures("no_cache")
def test_a_batch_that_is_not_rotated_is_one_array(tmp_path: Path) -> None:
    fake = FakeFramework()
    assert samples(measured(tmp_path, fake)).input_buffers == 1 == len(set(fake.seen))


def test_copies_for_rotation_do_not_count_as_the_networks_memory() -> None:
    assert scenario_sampling.without_copies(1000, 300, 500) == 700
    assert scenario_sampling.without_copies(600, 300, 500) == 500
    assert scenario_sampling.without_copies(None, 300, None) is None


def test_the_devices_own_clock_is_a_second_series(tmp_path: Path) -> None:
    fake = FakeFramework()
    fake.device_s = 0.125
    process = measured(tmp_path, fake)
    assert samples(process).device_steps_s == [0.125] * len(process.steps_s)
    assert process.steps_s == [0.25] * 3


def test_the_clock_and_the_cost_of_timing_are_recorded(tmp_path: Path) -> None:
    fake = FakeFramework()
    fake.clock.read_s = 2.0**-10
    process = measured(tmp_path, fake)
    assert process.clock.name == "fake clock"
    assert process.clock.read_s == pytest.approx(2.0**-10, rel=0.05)
    assert process.clock.loop_overhead_s == pytest.approx(0.25 + 2.0**-10)  # the fake's synchronise takes 0.25 s


def test_what_the_compiler_planned_is_in_the_memory(tmp_path: Path) -> None:
    memory = measured(tmp_path, FakeFramework()).memory
    assert (memory.compiled_temporary_bytes, memory.compiled_code_bytes) == (77, None)


def single(scenario: str, latency_bound_s: float | None = None) -> Case:
    return msgspec.structs.replace(small_case(), scenario=scenario, latency_bound_s=latency_bound_s)


def test_single_stream_times_queries_from_the_host_to_the_host(tmp_path: Path) -> None:
    fake = FakeFramework()
    sampling = SamplingConfig(
        warmup_steps=0, max_warmup_steps=0, min_steps=2, max_steps=368, budget_s=1e9, half_width=0.01
    )
    process = measured(tmp_path, fake, single("single-stream"), sampling)
    assert process.steps_s == [0.25] * 368, "the half-width of the median does not cut percentiles short"
    assert fake.batch is not None
    assert fake.batch.shape == (1, 75, 75, 3)
    assert process.absent["device_steps_s"] == "a query is more than what the device does"


def test_server_finds_the_rate_at_which_queries_begin_to_queue_too_long(tmp_path: Path) -> None:
    process = measured(tmp_path, FakeFramework(), single("server"))
    found = process.measured
    assert isinstance(found, Server)
    assert found.bound_s == server.BOUND_QUERIES * 0.25
    assert found.highest_rate_hz is not None
    assert 0.2 * 4 < found.highest_rate_hz < 4  # queries of 0.25 s: 4 a second is all that can be answered
    assert [trial.rate_hz for trial in found.trials][:2] == [pytest.approx(0.8), pytest.approx(4.0)]
    assert [trial.within for trial in found.trials][:2] == [True, False]
    for trial in found.trials:
        assert trial.p99_s == pytest.approx(np.quantile(trial.latencies_s, 0.99))
        assert len(trial.latencies_s) >= 368
        assert min(trial.latencies_s) == pytest.approx(0.25)


def test_a_bound_that_no_query_can_meet_gives_no_rate(tmp_path: Path) -> None:
    found = measured(tmp_path, FakeFramework(), single("server", 0.2)).measured
    assert isinstance(found, Server)
    assert (found.bound_s, found.highest_rate_hz) == (0.2, None)


def test_two_processes_of_a_server_draw_different_arrivals_and_one_the_same_again(tmp_path: Path) -> None:
    def first_latencies(order: int) -> list[float]:
        save_batch(tmp_path / "batch.npy", "noise", 1, 75)
        fake = FakeFramework()
        case, batch_file = single("server"), str(tmp_path / "batch.npy")
        request = MeasureCase(
            case=case, execution=msgspec.to_builtins(execution(case)), sampling=SAMPLING, batch_file=batch_file,
            order=order,
        )
        answer = answer_of(request, fake, RecordingListener())
        assert isinstance(answer, Measured)
        assert isinstance(answer.process.measured, Server)
        return answer.process.measured.trials[0].latencies_s

    assert first_latencies(1) == first_latencies(1) != first_latencies(2)


def test_compile_takes_the_first_step_and_none_after_it(tmp_path: Path) -> None:
    fake = FakeFramework()
    answer, phases = ask(tmp_path, fake, msgspec.structs.replace(small_case(batch=2), scenario="compile"))
    assert isinstance(answer, Measured), answer
    process = answer.process
    assert phases == ["import", "build", "compile", "first step"]
    assert (process.compile_s, process.first_step_s) == (7.0, 0.25)
    assert process.steps_s == process.warmup_s == []
    assert process.measured == Compile()
    assert process.energy.absent["gpu_counter_joules"] == "the scenario times nothing after the first step"


def test_each_server_trial_has_the_queries_that_its_percentile_requires() -> None:
    assert samples_needed(0.99) == server.QUERIES


def test_the_digest_of_seeded_weights_is_reported_if_requested(tmp_path: Path) -> None:
    def reported(case: Case, requested: bool) -> str | None:
        save_batch(tmp_path / "batch.npy", "noise", case.batch, 75)
        fake = FakeFramework()
        request = MeasureCase(
            case=case, execution=msgspec.to_builtins(execution(case)), sampling=SAMPLING,
            batch_file=str(tmp_path / "batch.npy"), order=0, digest_weights=requested,
        )  # fmt: skip
        answer = answer_of(request, fake, RecordingListener())
        assert isinstance(answer, Measured)
        return answer.process.weights_digest

    assert reported(small_case(), False) is None
    first = reported(small_case(), True)
    assert first == digest(initial(network("xception", "narrow", resolution=75), 0))
    assert reported(msgspec.structs.replace(small_case(), weights="seed:1"), True) != first
