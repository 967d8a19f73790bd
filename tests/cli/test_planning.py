from __future__ import annotations

from dataclasses import fields

import pytest

from frameworks.errors import UnknownName
from xibench.cli.options import SamplingOptions, SelectionOptions
from xibench.cli.planning import plan_run, plan_search, sampling, selection, selections
from xibench.errors import UsageError
from xibench.record.schema import SamplingConfig
from xibench.run.plan import Selection, preset

EVERY_SELECTION_OPTION = SelectionOptions(
    framework=["jax"], model=["xception"], operator=["grouped"], variant=["narrow"], scenario=["server"],
    recipe=["tuned"], precision=["bf16"], batch=[3], sweep=True, max_batch=64, resolution=[75], device="cpu",
    images="noise", weights="seed:2", seed=5, latency_bound=0.5,
)  # fmt: skip
EVERY_SAMPLING_OPTION = SamplingOptions(
    processes=4, repeats=5, max_warmup_steps=6, min_steps=7, budget=8.5, half_width=0.25, time_limit=9.5,
    memory_limit=1 << 30,
)  # fmt: skip


def test_every_selection_option_sets_its_field() -> None:
    assert None not in (getattr(EVERY_SELECTION_OPTION, f.name) for f in fields(SelectionOptions))
    assert selection(EVERY_SELECTION_OPTION) == Selection(
        frameworks=("jax",), models=("xception", "grouped"), variants=("narrow",), scenarios=("server",),
        recipes=("tuned",), precisions=("bf16",), batches=(3,), sweep=True, max_batch=64, resolutions=(75,),
        device="cpu", images="noise", weights="seed:2", seed=5, latency_bound_s=0.5,
    )  # fmt: skip


def test_every_sampling_option_sets_its_field() -> None:
    assert None not in (getattr(EVERY_SAMPLING_OPTION, f.name) for f in fields(SamplingOptions))
    found = sampling(EVERY_SAMPLING_OPTION, SamplingConfig())
    assert (found.processes, found.repeats, found.max_warmup_steps, found.min_steps) == (4, 5, 6, 7)
    assert (found.budget_s, found.half_width, found.time_limit_s) == (8.5, 0.25, 9.5)
    assert found.memory_limit_bytes == 1 << 30


def test_without_options_the_base_is_unchanged() -> None:
    bases = preset("nightly").selections
    assert selections(SelectionOptions(), bases) == bases
    assert sampling(SamplingOptions(), preset("nightly").sampling) == preset("nightly").sampling


def test_selections_that_options_make_equal_are_merged() -> None:
    found = selections(SelectionOptions(recipe=["tuned"], precision=["fp32"]), preset("nightly").selections)
    assert len(found) == 1


def test_a_run_keeps_its_presets_name_only_while_it_is_that_preset() -> None:
    on_cpu = SelectionOptions(device="cpu")
    assert plan_run("quick", on_cpu, SamplingOptions()).preset == "quick"
    assert plan_run("quick", on_cpu, SamplingOptions(processes=2)).preset is None
    assert plan_run("quick", SelectionOptions(device="cpu", batch=[8]), SamplingOptions()).preset is None
    assert plan_run(None, on_cpu, SamplingOptions()).preset is None


def test_a_run_is_sampled_as_a_sweep_if_one_of_its_selections_is_one() -> None:
    assert plan_run(None, SelectionOptions(device="cpu", sweep=True), SamplingOptions()).sampling.sweep
    assert not plan_run(None, SelectionOptions(device="cpu"), SamplingOptions()).sampling.sweep


def test_a_preset_that_options_changed_has_no_total_budget() -> None:
    assert plan_run("quick", SelectionOptions(device="cpu"), SamplingOptions()).sampling.total_budget_s is not None
    changed = plan_run("quick", SelectionOptions(device="cpu"), SamplingOptions(processes=2))
    assert changed.sampling.total_budget_s is None


def test_a_network_named_as_an_operator_is_refused() -> None:
    with pytest.raises(UnknownName, match="operator"):
        selection(SelectionOptions(operator=["xception"]))
    with pytest.raises(UnknownName, match="model"):
        selection(SelectionOptions(model=["grouped"]))


def test_a_search_is_for_one_case() -> None:
    task = plan_search("jax/xception/narrow", SelectionOptions(device="cpu", batch=[4, 8]), ["pools"], None)
    assert (task.case.framework, task.case.variant, task.case.batch) == ("jax", "narrow", 4)
    assert task.batches == [4, 8]
    assert list(task.choices) == ["pools"]
    for several in (SelectionOptions(precision=["fp32", "bf16"]), SelectionOptions(resolution=[75, 99])):
        with pytest.raises(UsageError, match="expected one"):
            plan_search("jax/xception", several, None, None)
