"""Every field that the method names is in the record. The method's words stand beside the field that holds them."""

from __future__ import annotations

import typing
from types import UnionType

import msgspec
import pytest

from frameworks.manifest import MANIFEST
from xibench.record import schema

FIELDS = {
    # Timing one case
    "a fresh process is the sampling unit": ("Attempt.process", "Attempt.number", "SamplingConfig.processes"),
    "the same seeded weights": ("Process.weights_digest",),
    "variables, quotas and limits that the run was under": (
        "Environment.variables", "Environment.cpus_allowed", "Environment.cpu_quota_cores",
        "Environment.memory_limit_bytes",
    ),
    "n steps": ("Sampled.steps_s", "Process.measured"),
    "compile and first step are recorded on their own": ("Process.compile_s", "Process.first_step_s"),
    "discarded steps stay in the record": ("Sampled.warmup_s",),
    "what ended the warm-up": ("Sampled.warmup_stopped_by",),
    "the record says which rule ended the case": ("Sampled.stopped_by",),
    "limits of the stopping rule": tuple(
        f"SamplingConfig.{name}" for name in ("min_steps", "max_steps", "budget_s", "half_width")
    ),
    "limits of the warm-up": tuple(
        f"SamplingConfig.{name}" for name in ("warmup_steps", "max_warmup_steps", "warmup_budget_s")
    ),
    "a step's output is consumed": ("Process.output_mean",),
    "device time is a second series beside host time": ("Sampled.device_steps_s",),
    "the clock, its resolution and the cost of reading it": (
        "ClockProperties.name", "ClockProperties.resolution_s", "ClockProperties.read_s",
    ),
    "the loop's own overhead": ("ClockProperties.loop_overhead_s",),
    "seeded random order": ("Case.seed",),
    "the order is in the record": ("Attempt.order", "Process.order"),
    "inputs are rotated among several device buffers": ("Sampled.input_buffers",),
    "the last-level cache": ("Environment.cache_bytes",),
    "persistent caches off, or reported as warm": ("settings.compilation_cache",),
    # Conditions
    "before and after each process": ("Surroundings.before", "Surroundings.after"),
    "load": ("Conditions.load_1m",),
    "steal time": ("Conditions.steal_share", "Surroundings.steal_share"),
    "other processes' time": ("Conditions.others_share", "Surroundings.others_share"),
    "CPU frequency and governor": ("Conditions.cpu_hz", "Conditions.governor", "Surroundings.cpu_hz"),
    "throttle counts": ("Conditions.throttle_count",),
    "SM and memory clocks": ("GpuConditions.sm_clock_hz", "GpuConditions.memory_clock_hz"),
    "throttle reasons": ("GpuConditions.throttle_reasons",),
    "temperature": ("GpuConditions.temperature_celsius",),
    "power limit": ("GpuConditions.power_limit_watts",),
    "other processes on the card": ("GpuConditions.foreign_processes",),
    "repeated up to a limit": ("SamplingConfig.repeats",),
    "kept and marked, with the reason": ("Surroundings.disturbed",),
    "dropped and repeated are counted": ("Attempt.superseded",),
    # Fairness: the settings manifest
    "read back from the framework": ("Process.settings",),
    "TF32 and matmul precision": ("settings.tf32", "settings.matmul_precision"),
    "memory layout": ("settings.layout",),
    "autotuning": ("settings.autotuning",),
    "CUDA graphs": ("settings.graphs",),
    "oneDNN/AMX": ("settings.onednn", "settings.amx"),
    "thread counts": ("settings.threads", "settings.interop_threads"),
    "compile scope": ("settings.compile_scope",),
    "donated buffers": ("settings.donated_buffers",),
    "dtype and device of the output tensor": ("settings.output_dtype", "settings.output_device"),
    "whether results are copied to the host": ("settings.results_copied_to_host",),
    "memory preallocation": ("settings.preallocation",),
    # Memory
    "peak resident set minus a baseline": ("Memory.host_peak_bytes", "Memory.host_baseline_bytes"),
    "how the high-water mark was read": ("Memory.host_method",),
    "peak allocated and reserved": ("Memory.device_peak_allocated_bytes", "Memory.device_peak_reserved_bytes"),
    "the process's figure from NVML": ("Memory.device_process_bytes",),
    "compile-time figures": (
        "Memory.compiled_temporary_bytes", "Memory.compiled_argument_bytes", "Memory.compiled_output_bytes",
        "Memory.compiled_code_bytes",
    ),
    # Cost and the roofline
    "MACs": ("Costs.macs",),
    "parameters": ("Costs.parameters_trainable", "Costs.parameters_total"),
    "activations": ("Costs.activations",),
    "bytes": ("Costs.bytes_moved",),
    "the element-wise rest is its own column": ("Costs.elementwise",),
    "the best matmul per precision": ("Matmul.flops_per_s", "Matmul.precision"),
    "the best copy": ("Copy.bytes_per_s",),
    "attainable time of a network": ("Costs.attainable_s", "Costs.attainable_as_written_s"),
    # Energy
    "NVML's total-energy counter": ("Energy.gpu_counter_joules",),
    "integrated power as a second series": ("Energy.gpu_integrated_joules", "Energy.gpu_power_samples"),
    "windows long against the counter's update period": ("Energy.window_s",),
    "idle baseline": ("Idle.gpu_watts", "Idle.cpu_package_watts", "Idle.window_s"),
    "joules per image": ("Sampled.images",),
    "RAPL": ("Energy.cpu_package_joules",),
    # Latency and throughput
    "offline, single-stream, server": ("Case.scenario",),
    "until memory runs out, recorded as a result": (
        "Attempt.status", "Attempt.reason", "SamplingConfig.memory_limit_bytes",
    ),
    "the batch sweep": ("SamplingConfig.sweep", "Case.batch"),
    "Poisson arrivals at a rate": ("RateTrial.rate_hz",),
    "queueing time in the latency": ("RateTrial.latencies_s",),
    "p99 stays within a bound": ("RateTrial.p99_s", "RateTrial.within", "Server.bound_s", "Case.latency_bound_s"),
    "the highest rate": ("Server.highest_rate_hz",),
    # A number is never quoted without hardware, versions and n
    "hardware and versions": ("Environment.cpu_model", "Environment.gpus", "Process.versions", "Process.device_name"),
    "what could not be had, and what ran instead": ("Process.substitutions",),
}  # fmt: skip

WITH_REASONS = (
    schema.Energy, schema.GpuConditions, schema.Conditions, schema.Surroundings, schema.Process, schema.Costs,
    schema.Idle, schema.Environment,
)  # fmt: skip
IN_A_PROCESS = (  # their reasons stand in the process's `absent`
    schema.ClockProperties, schema.Memory, schema.Sampled, schema.Steps, schema.Queries,
)  # fmt: skip
OWN_REASON = (schema.Matmul, schema.Copy, schema.Attempt, schema.RateTrial, schema.Server)


@pytest.mark.parametrize(("words", "field"), [(words, field) for words, fields in FIELDS.items() for field in fields])
def test_a_record_holds_every_field_that_the_method_names(words: str, field: str) -> None:
    owner, name = field.split(".")
    held = MANIFEST if owner == "settings" else getattr(schema, owner).__struct_fields__
    assert name in held, f"{words}: {field} is missing"


def test_every_part_of_a_line_is_reached_from_a_line() -> None:
    reached: set[type] = {schema.Header, schema.Attempt, schema.Calibration, schema.Record, schema.Sampled}
    waiting = list(reached)
    while waiting:
        for kind in typing.get_type_hints(waiting.pop()).values():
            new = {found for found in structs(kind) if found not in reached}
            reached |= new
            waiting += new
    defined = {kind for kind in vars(schema).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)}
    assert defined - {msgspec.Struct} == reached


def structs(kind: object) -> set[type]:
    """The structs that a type is made of: `list[Process] | None` is made of Process."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {kind}
    if typing.get_origin(kind) or isinstance(kind, UnionType):
        return {found for part in typing.get_args(kind) for found in structs(part)}
    return set()


def test_a_part_with_figures_that_may_be_null_has_a_place_for_the_reason() -> None:
    for kind in WITH_REASONS:
        assert "absent" in kind.__struct_fields__, kind
    known = {*WITH_REASONS, *IN_A_PROCESS, *OWN_REASON, schema.Case, schema.SamplingConfig, schema.Header, schema.Gpu}
    for kind in vars(schema).values():
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in known:
            hints = typing.get_type_hints(kind)
            assert not [name for name, hint in hints.items() if type(None) in typing.get_args(hint)], kind


def test_every_unit_stands_in_the_name_of_its_field() -> None:
    units = (
        "_s", "_1m", "_cores", "_bytes", "_joules", "_watts", "_hz", "_celsius", "_share", "_per_s", "width", "mean",
        "error",
    )  # fmt: skip
    for kind in vars(schema).values():
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            for name, hint in typing.get_type_hints(kind).items():
                numbers = hint is float or float in typing.get_args(hint)
                assert not numbers or name.endswith(units), f"{kind.__name__}.{name}"


def test_the_history_of_the_format_says_what_each_version_changed() -> None:
    history = (schema.__doc__ or "").split("Format history")[1]
    for version in range(1, schema.FORMAT_VERSION + 1):
        assert f"\n  {version}  " in history
