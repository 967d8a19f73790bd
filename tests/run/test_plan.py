from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.numpy

from frameworks.architectures import network
from frameworks.errors import InvalidConfiguration, InvalidWeights, UnknownName
from frameworks.weights import initial, save
from xibench.errors import UsageError
from xibench.measure import nvml
from xibench.run import plan, probe
from xibench.run.plan import Selection, cases, costs, resolve_device

ON_CPU = Selection(device="cpu")


def test_a_selection_is_every_combination_once_with_frameworks_side_by_side() -> None:
    selection = replace(ON_CPU, frameworks=("jax", "pytorch"), models=("xception",), recipes=("default", "tuned"))
    assert [(c.recipe, c.framework) for c in cases(selection)] == [
        ("default", "jax"), ("default", "pytorch"), ("tuned", "jax"), ("tuned", "pytorch"),
    ]  # fmt: skip


def test_a_name_given_twice_is_one_case() -> None:
    assert len(cases(replace(ON_CPU, frameworks=("jax", "jax"), models=("xception",)))) == 1


def test_the_quick_preset_has_twelve_cases() -> None:
    quick = plan.preset("quick")
    planned = cases(replace(quick.selection, device="cpu"))
    assert len(planned) == 12
    assert {c.batch for c in planned} == {8}
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
        plan.preset("quik")


@pytest.mark.parametrize("batch", [0, -3])
def test_a_batch_below_one_is_refused(batch: int) -> None:
    with pytest.raises(UsageError, match=f"batch {batch}: .*at least 1"):
        cases(replace(ON_CPU, batches=(batch,)))


def test_a_resolution_that_is_too_small_is_refused_with_the_least_that_works() -> None:
    with pytest.raises(InvalidConfiguration, match=r"resolution 20 is too small, the least that works is \d+"):
        cases(replace(ON_CPU, models=("inception_v3",), resolutions=(20,)))


@pytest.mark.parametrize(
    "field", ["frameworks", "models", "variants", "recipes", "precisions", "batches", "resolutions"]
)
def test_an_empty_selection_says_what_is_missing(field: str) -> None:
    with pytest.raises(UsageError, match=r"no (framework|model|variant|recipe|precision|batch|resolution) is selected"):
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
        probe, "probe", lambda name: probe.Probe(framework=name, versions={}, devices=seen, problem=None)
    )
    assert resolve_device(("pytorch",), "auto") == device
    assert resolve_device(("pytorch",), "cpu") == "cpu"
