"""The figures of the claims about speed and recipes, computed from constructed records without any process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from benches.claims import latency, readme, recipes, runs, speed, speed_gpu
from benches.claims.claim import overall
from frameworks.api import FRAMEWORKS, THIRD_PARTY
from tests.builders import append, calibration, failure, header, measured, process, record, run_of
from xibench.errors import InputError
from xibench.measure.comparing import Ratio
from xibench.record.schema import Case, Record
from xibench.record.store import Run, RunFile

# Step times of third-party implementations by recipe, relative to ours with `tuned`.
SLOWER = {"default": 3.0, "compiled": 2.5, "tuned": 2.0}
FAILING = ("torchvision", "timm")


def step_s(case: Case) -> float:
    """Return the step time: ours takes 0.1 s with `tuned`, 0.2 s with `default`, and half of that in bf16."""
    if case.framework in THIRD_PARTY:
        return 0.1 * SLOWER[case.recipe]
    return {"fp32": 0.1, "bf16": 0.05}[case.precision] * (2 if case.recipe == "default" else 1)


def fake_record(case: Case) -> Record:
    if case.framework in FAILING:
        return failure(case, "torchvision cannot be imported")
    return record(case, *[[step_s(case)] * 5] * 3)


def figures() -> dict[str, object]:
    return speed.figures([fake_record(case) for case in speed.cases()], calibration())


def test_cells_are_compared_with_the_fastest_default_and_the_fastest_recipe_of_third_party_implementations() -> None:
    found = figures()
    cell = found["cells"]["pytorch xception"]  # type: ignore[index]
    assert cell["against_default"] == pytest.approx(3.0)
    assert cell["against_best"] == pytest.approx(2.0)
    assert cell["against"]["keras-pytorch compiled"]["ratio"] == pytest.approx(2.5)
    assert cell["against_plain"]["ratio"] == pytest.approx(2.0)
    assert cell["bf16_over_fp32"]["ratio"] == pytest.approx(2.0)
    assert cell["outputs_agree"]
    jax = found["cells"]["jax xception"]  # type: ignore[index]
    assert jax["against_best"] == pytest.approx(3.0)  # its default is its only recipe


def test_a_failed_third_party_implementation_has_a_reason_and_is_ignored_in_speedups() -> None:
    cell = figures()["cells"]["pytorch xception"]  # type: ignore[index]
    assert cell["against"]["timm default"] is None
    assert cell["contenders"]["timm default"]["status"] == "failed"
    assert cell["contenders"]["timm default"]["reason"] == "torchvision cannot be imported"


def test_means_are_null_unless_all_six_cells_were_measured() -> None:
    found = figures()
    assert found["against_default"]["geometric_mean"] == pytest.approx(3.0)  # type: ignore[index]
    incomplete = [fake_record(c) if c.framework != "keras-jax" else failure(c) for c in speed.cases()]
    assert speed.figures(incomplete, calibration())["against_default"]["geometric_mean"] is None


def test_the_attained_fraction_is_null_without_ceilings() -> None:
    records = [
        msgspec.structs.replace(
            r, attempts=[msgspec.structs.replace(a, costs=msgspec.structs.replace(a.costs, attainable_s=None))
                         for a in r.attempts]
        )
        for r in map(fake_record, speed.cases())
    ]  # fmt: skip
    assert speed.figures(records, None)["attained"] == {"xception": None, "inception_v3": None}


def test_a_ratio_is_recorded_with_its_interval_and_number_of_processes() -> None:
    found = Ratio(1.2, 1.1, 1.3, 0.01, 7, paired=False)
    assert runs.ratio_figures(found) == {"ratio": 1.2, "low": 1.1, "high": 1.3, "n": 7}
    assert runs.ratio_figures(None) is None


def test_a_figure_that_is_too_small_misses_its_target() -> None:
    found = figures()
    verdicts = {target.figure: target.verdict(found) for target in speed.CLAIM.targets}
    assert verdicts["against_default.geometric_mean"] == "met"
    slow = [record(c, [0.7] * 5) if c.framework == "jax" else fake_record(c) for c in speed.cases()]
    verdicts = {target.figure: target.verdict(speed.figures(slow, calibration())) for target in speed.CLAIM.targets}
    assert verdicts["against_best.min"] == "not met"


@pytest.mark.parametrize("claim", [speed, latency])
@pytest.mark.parametrize("missing", THIRD_PARTY)
def test_a_claim_about_every_public_implementation_is_not_shown_while_one_was_not_measured(
    claim: ModuleType, missing: str
) -> None:
    steps = {case: step_s(case) if case.framework in FRAMEWORKS else 0.9 for case in claim.cases()}
    complete = [record(case, *[[step] * 5] * 3) for case, step in steps.items()]
    bounds = [t for t in claim.CLAIM.targets if t.figure.startswith(("against", "third_party"))]
    found = claim.figures(complete, calibration())
    assert {target.verdict(found) for target in bounds} == {"met"}
    without = [failure(r.case, "it is not installed") if r.case.framework == missing else r for r in complete]
    found = claim.figures(without, calibration())
    assert found["not_measured"] == {missing: "it is not installed"}
    assert overall(replace(claim.CLAIM, targets=tuple(bounds)).verdicts(found)) == "not shown"
    assert f"{missing} not measured" in readme.FIGURES_TEXT[claim.CLAIM.name](found)


def test_a_lead_whose_interval_reaches_below_the_bound_is_not_shown() -> None:
    """Five processes of a rival differ so much that it could be the faster one."""
    spread = [[0.11 * factor] * 5 for factor in (0.7, 0.8, 1.0, 1.2, 1.3)]
    records = [
        record(c, *spread) if (c.framework, c.recipe, c.model) == ("timm", "tuned", "xception")
        else record(c, *[[step_s(c) * factor] * 5 for factor in (0.98, 0.99, 1.0, 1.01, 1.02)])
        for c in latency.cases()
    ]  # fmt: skip
    found = latency.figures(records, calibration())
    assert found["against_best"]["min"] >= 1
    assert found["against_best"]["min_low"] < 0.97
    assert overall(latency.CLAIM.verdicts(found)) == "not shown"


def test_one_image_is_compared_with_every_recipe_of_every_third_party_implementation() -> None:
    found = latency.figures([fake_record(case) for case in latency.cases()], calibration())
    assert {case.batch for case in latency.cases()} == {1}
    assert found["cells"]["pytorch xception"]["against_best"] == pytest.approx(2.0)
    assert found["against_best"]["min"] == pytest.approx(2.0)
    slow = [
        record(c, [0.25] * 5) if (c.framework, c.recipe, c.model) == ("jax", "tuned", "xception") else fake_record(c)
        for c in latency.cases()
    ]
    slow_figures = latency.figures(slow, calibration())
    assert slow_figures["against_best"]["min"] == pytest.approx(0.3 / 0.25)
    assert latency.CLAIM.targets[0].verdict(slow_figures) == "met"


def gpu_run(block: speed_gpu.Block, made: Callable[[Case], Record] = fake_record) -> Run:
    """A complete run of a block, from constructed records."""
    return run_of(*map(made, speed_gpu.cases(block)), calibrations=[calibration("cuda")])


def test_gpu_cells_are_compared_with_third_party_implementations_at_the_same_precision_and_batch() -> None:
    for precision, batch in speed_gpu.BLOCKS:
        plan = speed_gpu.cases((precision, batch))
        assert {(c.device, c.precision, c.batch) for c in plan} == {("cuda", precision, batch)}
    assert {case.device for claim in (speed, latency, recipes) for case in claim.cases()} == {"cpu"}

    def slow(case: Case) -> Record:
        slower = (case.framework, case.precision, case.batch) == ("keras-jax", "bf16", 64)
        return record(case, [1.0] * 5) if slower else fake_record(case)

    found = speed_gpu.figures({block: gpu_run(block, slow) for block in speed_gpu.BLOCKS})
    assert found["cells"]["jax xception fp32 64"]["against_default"] == pytest.approx(3.0)
    assert found["cells"]["jax xception bf16 8"]["against_default"] == pytest.approx(6.0)  # ours is faster in bf16
    assert found["cells"]["jax xception bf16 64"]["against_default"] == pytest.approx(20.0)
    assert found["cells"]["pytorch xception fp32 1"]["against_best"] == pytest.approx(2.0)
    assert found["against_best"]["min"] == pytest.approx(2.0)


def test_a_part_of_the_claim_on_a_gpu_is_met_by_the_blocks_that_a_budget_allowed() -> None:
    measured_blocks = [("bf16", 256), ("fp32", 256)]
    installed = partial(complete_record, missing=())
    found = speed_gpu.figures({block: gpu_run(block, installed) for block in measured_blocks})
    assert set(found["parts"]) == {f"{f} {p} {b}" for f in FRAMEWORKS for p, b in measured_blocks}
    assert {part["answer"] for part in found["parts"].values()} == {"met"}
    assert found["blocks_not_measured"] == len(speed_gpu.BLOCKS) - 2
    assert overall(speed_gpu.CLAIM.verdicts(found)) == "not shown"

    whole = speed_gpu.figures({block: gpu_run(block, installed) for block in speed_gpu.BLOCKS})
    assert overall(speed_gpu.CLAIM.verdicts(whole)) == "met"
    without = partial(complete_record, missing=("timm",))
    found = speed_gpu.figures({block: gpu_run(block, without) for block in speed_gpu.BLOCKS})
    answers = {name.split()[0]: part["answer"] for name, part in found["parts"].items()}
    assert answers == {"pytorch": "not shown", "tensorflow": "met", "jax": "met"}
    assert found["not_measured"] == {"timm": "it is not installed"}
    assert overall(speed_gpu.CLAIM.verdicts(found)) == "not shown"
    assert overall(speed_gpu.CLAIM.verdicts(speed_gpu.figures({}))) == "not shown"


def complete_record(case: Case, missing: Sequence[str]) -> Record:
    if case.framework in missing:
        return failure(case, "it is not installed")
    step = step_s(case) if case.framework in FRAMEWORKS else 0.9
    return record(case, *[[step * factor] * 5 for factor in (0.99, 1.0, 1.01)])


def test_the_break_even_number_of_images_follows_from_start_and_step_times() -> None:
    """`tuned` starts 40 s later and saves 0.1 s per 8 images."""
    slow = process([0.1] * 5)
    compiling = msgspec.structs.replace(slow, first_step_s=slow.first_step_s + 40)
    records = [
        measured(case, compiling)
        if (case.framework, case.recipe, case.precision) == ("pytorch", "tuned", "fp32")
        else fake_record(case)
        for case in speed.cases()
    ]
    cells = speed.figures(records, calibration())["cells"]
    assert cells["pytorch xception"]["pays_after_images"] == pytest.approx(3200)
    assert cells["jax xception"]["pays_after_images"] == 0


def test_a_setting_is_compared_with_the_recipe_without_it() -> None:
    without = recipes.without("jax", "cpu")
    assert without["depthwise"] == "tuned+depthwise=grouped"
    assert set(without.values()) < {case.recipe for case in recipes.cases() if case.framework == "jax"}


@pytest.mark.parametrize(
    ("low", "high", "counted", "answer"),
    [
        (0.99, 1.2, "holding", "met"), (0.98, 0.99, "holding", "met"), (0.9, 0.97, "losing", "not met"),
        (0.9, 1.2, "too_wide", "not shown"), (None, None, "unmeasured", "not shown"),
    ],
)  # fmt: skip
def test_a_setting_costs_nothing_something_or_that_is_not_shown(
    low: float | None, high: float | None, counted: str, answer: str
) -> None:
    found = recipes.counts([{"low": 1.1, "high": 1.2}, {"low": low, "high": high}])
    others = {"settings": 2, "holding": 1, "losing": 0, "too_wide": 0, "unmeasured": 0}
    assert found == others | {counted: others[counted] + 1}
    assert overall(recipes.CLAIM.verdicts(found)) == answer


def test_a_setting_that_tuned_has_got_since_is_not_measured_by_a_kept_run() -> None:
    kept = [record(case, *[[0.1] * 5] * 3) for case in recipes.cases() if "denormals" not in case.recipe]
    found = recipes.figures(kept)
    assert found["gains"]["pytorch xception"]["settings"]["denormals"] is None
    assert found["unmeasured"] == 2


def test_a_run_with_another_plan_is_not_resumed(tmp_path: Path) -> None:
    plan = speed.cases()[:1]
    with RunFile.create(tmp_path / runs.FILE, header(plan)) as run_file:
        append(run_file, fake_record(plan[0]))
    with pytest.raises(InputError, match=r"another plan than this version of `claims speed`; move it away"):
        runs.measured(tmp_path, speed.cases(), "claims speed")
