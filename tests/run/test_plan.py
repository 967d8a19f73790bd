from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import msgspec
import pytest
import safetensors.numpy

from frameworks.architectures import network
from frameworks.errors import InvalidConfiguration, InvalidWeights, UnknownName
from frameworks.weights import initial, save
from tests.builders import calibration
from xibench.errors import UsageError
from xibench.measure import nvml
from xibench.measure.statistics import samples_needed
from xibench.record.schema import Case
from xibench.run.ceilings import costs
from xibench.run.plan import Selection, cases, impossible, preset, resolve_device, sampling_of
from xibench.workers import probe
from xibench.workers.messages import Probe

ON_CPU = Selection(device="cpu")


def test_a_disk_that_is_full_now_is_no_reason_to_give_a_case_up(monkeypatch: pytest.MonkeyPatch) -> None:
    (case,) = cases(replace(ON_CPU, frameworks=("jax",), models=("xception",), batches=(4,)))
    needed = 4 * 299 * 299 * 3 * 4
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(2 * needed, needed + 1, needed - 1))
    assert impossible(case) == ("unsupported", ANY)
    assert impossible(case, ever=True) is None
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(needed - 1, 0, needed - 1))
    assert impossible(case, ever=True) == ("unsupported", ANY)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"framework": "torchvision", "model": "xception"}, "torchvision has no xception, default; expected one of"),
        ({"framework": "torchvision", "variant": "narrow"}, "torchvision has no inception_v3, narrow"),
        ({"framework": "reference", "precision": "bf16"}, "reference has no bf16; expected fp64 or fp32"),
        ({"framework": "reference", "device": "cuda"}, "reference has no device cuda; expected cpu"),
        ({"precision": "tf32"}, "jax: a CPU has no TF32; expected an NVIDIA GPU; use fp32"),
        ({"device": "cuda"}, "jax: this machine has no NVIDIA driver; expected device cpu"),
    ],
)
def test_what_a_case_lacks_is_known_from_the_plan(
    fields: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvml, "count", lambda: 0)
    monkeypatch.setattr(nvml, "driver_is_loadable", lambda: False)
    case = Case(framework="jax", model="inception_v3", batch=1, resolution=299)
    assert impossible(case) is None
    found = impossible(msgspec.structs.replace(case, **fields))
    assert found is not None
    assert found[0] == "unsupported"
    assert found[1].startswith(words)
    monkeypatch.setattr(nvml, "driver_is_loadable", lambda: True)
    assert impossible(msgspec.structs.replace(case, device="cuda")) is None


@pytest.mark.parametrize(("memory_limit_bytes", "status"), [(10 << 20, "out_of_memory"), (4 << 30, None)])
def test_a_step_that_cannot_fit_into_memory_is_known_from_the_plan(memory_limit_bytes: int, status: str) -> None:
    (case,) = cases(replace(ON_CPU, frameworks=("jax",), models=("xception",), batches=(8,)))
    found = impossible(case, memory_limit_bytes)
    assert (found[0] if found else None) == status


def test_a_selection_is_every_combination_once_with_frameworks_side_by_side() -> None:
    selection = replace(ON_CPU, frameworks=("jax", "pytorch"), models=("xception",), recipes=("default", "tuned"))
    assert [(c.recipe, c.framework) for c in cases(selection)] == [
        ("default", "jax"), ("default", "pytorch"), ("tuned", "jax"), ("tuned", "pytorch"),
    ]  # fmt: skip


def test_a_name_given_twice_is_one_case() -> None:
    assert len(cases(replace(ON_CPU, frameworks=("jax", "jax"), models=("xception",)))) == 1


def test_the_quick_preset_has_twelve_cases() -> None:
    quick = preset("quick")
    planned = cases(*(replace(selection, device="cpu") for selection in quick.selections))
    assert len(planned) == 12
    assert {c.batch for c in planned} == {1}
    assert {c.recipe for c in planned} == {"default", "tuned"}


def test_each_model_has_its_own_resolution_unless_one_is_asked_for() -> None:
    assert {c.resolution for c in cases(ON_CPU)} == {299}
    assert {c.resolution for c in cases(replace(ON_CPU, resolutions=(128, 150)))} == {128, 150}


@pytest.mark.parametrize(
    ("field", "value", "nearest"),
    [
        ("frameworks", ("pytorhc",), "did you mean pytorch"),
        ("models", ("xceptoin",), "did you mean xception"),
        ("variants", ("narow",), "did you mean narrow"),
        ("scenarios", ("ofline",), "did you mean offline"),
        ("recipes", ("tunned",), "did you mean tuned"),
        ("precisions", ("fp23",), "did you mean fp32"),
        ("device", "cudda", "did you mean cuda"),
    ],
)
def test_an_unknown_name_gives_the_nearest(field: str, value: object, nearest: str) -> None:
    with pytest.raises(UnknownName, match=nearest):
        cases(replace(ON_CPU, **{field: value}))  # type: ignore[arg-type]


def test_an_unknown_preset_gives_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean quick"):
        preset("quik")


@pytest.mark.parametrize("batch", [0, -3])
def test_a_batch_below_one_is_refused(batch: int) -> None:
    with pytest.raises(UsageError, match=f"batch {batch}: .*at least 1"):
        cases(replace(ON_CPU, batches=(batch,)))


def test_a_resolution_that_is_too_small_is_refused_with_the_least_that_works() -> None:
    with pytest.raises(InvalidConfiguration, match=r"resolution 20 is too small, the minimum is \d+"):
        cases(replace(ON_CPU, models=("inception_v3",), resolutions=(20,)))


@pytest.mark.parametrize(
    "field", ["frameworks", "models", "variants", "scenarios", "recipes", "precisions", "batches", "resolutions"]
)
def test_an_empty_selection_says_what_is_missing(field: str) -> None:
    kinds = "framework|model|variant|scenario|recipe|precision|batch|resolution"
    with pytest.raises(UsageError, match=rf"no ({kinds}) is selected"):
        cases(replace(ON_CPU, **{field: ()}))  # type: ignore[arg-type]


@pytest.mark.parametrize("weights", ["seed:", "seed:x", "seed:-1", "seed:1.5"])
def test_a_weight_seed_that_is_no_number_is_refused(weights: str) -> None:
    with pytest.raises(UsageError, match=r"expected seed:N"):
        cases(replace(ON_CPU, weights=weights))


def test_a_weight_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no such file.*xibench weights init"):
        cases(replace(ON_CPU, weights=str(tmp_path / "none.safetensors")))


def test_a_weight_file_that_fits_is_taken_and_none_of_its_arrays_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = network("xception", "narrow")
    save(tmp_path / "x.safetensors", narrow, initial(narrow))
    monkeypatch.setattr(safetensors.numpy, "load_file", None)
    selection = replace(ON_CPU, models=("xception",), variants=("narrow",), weights=str(tmp_path / "x.safetensors"))
    assert len(cases(selection)) == 3


def test_a_weight_file_of_another_network_is_refused_with_the_first_parameter_that_lacks(tmp_path: Path) -> None:
    narrow = network("xception", "narrow")
    save(tmp_path / "x.safetensors", narrow, initial(narrow))
    with pytest.raises(InvalidWeights, match=r"weights for inception_v3: '.+' is missing"):
        cases(replace(ON_CPU, models=("inception_v3",), weights=str(tmp_path / "x.safetensors")))
    with pytest.raises(InvalidWeights, match=r"weights for xception: '.+' has shape .+, expected"):
        cases(replace(ON_CPU, models=("xception",), weights=str(tmp_path / "x.safetensors")))


@pytest.mark.parametrize("content", [b"", b"this is no safetensors file at all"])
def test_a_weight_file_that_cannot_be_read_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(InvalidWeights, match=r"x\.safetensors is not a safetensors file that can be read \(.+\)"):
        cases(replace(ON_CPU, models=("xception",), weights=str(tmp_path / "x.safetensors")))


def test_costs_are_those_of_the_whole_batch() -> None:
    selection = replace(ON_CPU, frameworks=("jax",), models=("xception",), batches=(1, 8))
    one, eight = map(costs, cases(selection))
    assert (one.macs, one.parameters_trainable) == (8_357_403_496, 22_855_952)
    assert eight.macs == 8 * one.macs


@pytest.mark.parametrize(
    ("cards", "seen", "device"), [(0, ["cpu", "cuda"], "cpu"), (1, ["cpu", "cuda"], "cuda"), (1, ["cpu"], "cpu")]
)
def test_auto_is_cuda_where_there_is_a_card_and_a_framework_sees_it(
    monkeypatch: pytest.MonkeyPatch, cards: int, seen: list[str], device: str
) -> None:
    monkeypatch.setattr(nvml, "count", lambda: cards)
    monkeypatch.setattr(
        probe, "probe", lambda name: Probe(framework=name, versions={}, devices=seen, problem=None)
    )
    assert resolve_device(("pytorch",), "auto") == device
    assert resolve_device(("pytorch",), "cpu") == "cpu"


def test_the_nightly_preset_has_thirty_six_cases_of_three_processes() -> None:
    nightly = preset("nightly")
    planned = cases(*(replace(selection, device="cpu") for selection in nightly.selections))
    assert len(planned) == 36
    assert nightly.sampling.processes == 3
    assert {c.batch for c in planned} == {1, 8}
    assert {(c.recipe, c.precision) for c in planned} == {("default", "fp32"), ("tuned", "fp32"), ("tuned", "bf16")}


def selected(**changes: object) -> tuple[Case, ...]:
    """Cases of one framework and one network."""
    return cases(replace(ON_CPU, frameworks=("jax",), models=("xception",), **changes))  # type: ignore[arg-type]


def test_queries_are_one_image_each_and_whole_batches_eight() -> None:
    planned = selected(scenarios=("server", "offline", "single-stream", "compile"))
    assert [(c.scenario, c.batch) for c in planned] == [
        ("offline", 8), ("single-stream", 1), ("server", 1), ("compile", 8),
    ]  # fmt: skip


@pytest.mark.parametrize("scenario", ["single-stream", "server"])
def test_a_batch_is_refused_where_queries_are_one_image_each(scenario: str) -> None:
    with pytest.raises(UsageError, match=f"batch 1,8 in scenario {scenario}: its queries are one image each"):
        selected(scenarios=(scenario,), batches=(1, 8))


def test_a_sweep_doubles_its_batches_up_to_the_largest() -> None:
    assert [c.batch for c in selected(sweep=True, max_batch=20)] == [1, 2, 4, 8, 16]
    assert selected(sweep=True)[-1].batch == 1024


def test_a_sweep_takes_no_other_batches_and_no_other_scenario() -> None:
    with pytest.raises(UsageError, match="batch 3 beside a sweep"):
        selected(sweep=True, batches=(3,))
    with pytest.raises(UsageError, match="a sweep over batches in scenario compile: only offline"):
        selected(sweep=True, scenarios=("compile",))
    with pytest.raises(UsageError, match=r"batch 0: .*at least 1"):
        selected(sweep=True, max_batch=0)


def test_a_latency_bound_is_that_of_the_server_alone() -> None:
    planned = selected(scenarios=("server", "offline"), latency_bound_s=0.5)
    assert {c.scenario: c.latency_bound_s for c in planned} == {"server": 0.5, "offline": None}
    with pytest.raises(UsageError, match=r"latency bound 0.5 s: only scenario server has one"):
        selected(latency_bound_s=0.5)
    for bound in (0.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match=r"latency bound .*above 0"):
            selected(scenarios=("server",), latency_bound_s=bound)


def test_the_rule_of_queries_takes_enough_of_them_for_a_99th_percentile() -> None:
    for name in ("single-stream", "server"):
        assert sampling_of([replace(ON_CPU, scenarios=(name,))]).max_steps >= samples_needed(0.99)


def test_the_rule_of_several_scenarios_is_the_most_patient_of_theirs() -> None:
    sampling = sampling_of([replace(ON_CPU, scenarios=("offline", "single-stream", "compile"))])
    assert (sampling.processes, sampling.max_steps, sampling.budget_s, sampling.half_width) == (5, 400, 120.0, None)
    assert sampling_of([ON_CPU]).processes == 1


def test_attainable_time_comes_from_the_runs_ceilings() -> None:
    (case,) = selected(batches=(1,))
    with_ceilings = costs(case, calibration())
    compute_s, copy_s = 2 * with_ceilings.macs / 12e9, with_ceilings.bytes_moved / 1e9
    assert with_ceilings.attainable_s is not None
    assert compute_s < with_ceilings.attainable_s < compute_s + copy_s
    assert with_ceilings.attainable_as_written_s is not None
    assert with_ceilings.attainable_s < with_ceilings.attainable_as_written_s < compute_s + copy_s


@pytest.mark.parametrize(
    ("precision", "device", "why"),
    [
        ("fp64", "cpu", "no matmul in fp64 could be measured for the run's ceilings"),
        ("fp32", "cuda", "the run's ceilings were not measured"),
    ],
)
def test_attainable_time_without_a_fitting_ceiling_is_null_with_the_reason(
    precision: str, device: str, why: str
) -> None:
    case = msgspec.structs.replace(selected(batches=(1,))[0], precision=precision, device=device)
    without = costs(case, calibration())
    assert without.attainable_s is without.attainable_as_written_s is None
    assert without.absent == {"attainable_s": why, "attainable_as_written_s": why}
