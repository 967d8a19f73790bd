"""A metric is one entry: what a module of the user's registers is everywhere where figures are shown."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.builders import append, calibration, failure, header, measured, process, record, run_of, small_case
from tests.cli.command import ROOT, xibench, xibench_process
from xibench.measure.statistics import Interval, Percentile
from xibench.record.comparison import compare
from xibench.record.metrics import METRICS, STEP_S, Measurement, Metric, Unavailable, bounds, central, register
from xibench.record.store import RunFile
from xibench.record.summary import summarise

PLUGIN = """
from xibench.record.metrics import Metric, Unavailable, register

def slowest(case):
    if case.case.framework == "jax":
        return Unavailable("nobody asked JAX")
    return max(map(max, case.steps_s), default=None)

register(Metric(
    name="slowest_step_s", unit="s", better="lower", of=slowest, heading="slowest step", shown_unit="ms", scale=1e3,
))
register(Metric(
    name="typical_import_s", unit="s", better="lower", kind="interval", heading="import", shown_unit="s",
    of=lambda case: case.over_processes(p.import_s for p in case.processes),
))
register(Metric(name="served_hz", unit="1/s", better="higher", of=lambda case: 1.0, scenarios=("server",), heading="s"))
"""
GOOD, SILENT, BAD = small_case("pytorch"), small_case("jax"), small_case("tensorflow")
STEADY, SLOWER = [(0.1, 0.2, 0.4)] * 3, [(0.1, 0.2, 0.5)] * 3


def metric(**changes: object) -> Metric[float]:
    fields: dict[str, Any] = {"name": "toy", "unit": "1", "better": None, "of": lambda case: 1.5, "heading": "toy"}
    return Metric(**(fields | changes))


@pytest.fixture
def registry() -> Iterator[dict[str, Metric[Any]]]:
    """The registry, which has its own metrics alone again when the test has ended."""
    own = dict(METRICS)
    yield METRICS
    METRICS.clear()
    METRICS.update(own)


@pytest.mark.parametrize("name", ["step_s", "batch", "macs", "status", "latency_s", "images/s", ""])
def test_a_name_that_is_taken_or_no_identifier_is_refused(name: str, registry: dict[str, Metric[Any]]) -> None:
    with pytest.raises(ValueError, match="metric"):
        register(metric(name=name))
    assert list(registry) == list(METRICS)


def test_a_metric_is_derived_once_and_only_if_somebody_asks_for_it(registry: dict[str, Metric[Any]]) -> None:
    derived = []

    def of(case: Measurement) -> float:
        derived.append(case.case)
        return 1.0

    toy = register(metric(of=of))
    summary = summarise(record(small_case()))
    assert derived == []
    assert [summary[toy], summary[toy]] == [1.0, 1.0]
    assert toy.name not in summary.absent
    assert len(derived) == 1


def test_a_registered_metric_is_a_figure_of_every_summary_and_its_reason_is_reported(
    registry: dict[str, Metric[Any]],
) -> None:
    toy = register(metric())
    silent = register(metric(name="silent", of=lambda case: Unavailable("nobody asked")))
    summary = summarise(record(GOOD))
    assert (summary[toy], summary[silent], summary.absent["silent"]) == (1.5, None, "nobody asked")
    assert summarise(failure(BAD, "the worker exited")).absent["toy"] == "the worker exited"


@pytest.mark.parametrize("limits", [{"scenarios": ("server",)}, {"tasks": ("train",)}])
def test_a_metric_is_not_derived_for_scenarios_and_tasks_that_do_not_have_it(
    limits: dict[str, object], registry: dict[str, Metric[Any]]
) -> None:
    def never(case: Measurement) -> float:
        raise AssertionError(case)

    toy = register(metric(of=never, **limits))
    for made in (record(GOOD), failure(GOOD)):
        summary = summarise(made)
        assert (summary[toy], "toy" in summary.absent) == (None, False)


@pytest.mark.parametrize(
    ("kind", "value"), [("number", Interval(1.0, None, None, 1)), ("interval", 1.5), ("percentile", 3), ("number", "1")]
)
def test_a_value_of_another_kind_than_the_entry_says_is_unavailable_and_the_others_are_there(
    kind: str, value: object, registry: dict[str, Metric[Any]]
) -> None:
    toy = register(metric(kind=kind, of=lambda case: value))
    summary = summarise(record(GOOD))
    assert summary[toy] is None
    assert summary.step_s is not None
    assert repr(value) in summary.absent["toy"]
    assert f"kind {kind}" in summary.absent["toy"]


def test_a_metric_that_raises_is_unavailable_with_the_error_and_the_others_are_there(
    registry: dict[str, Metric[Any]],
) -> None:
    toy = register(metric(of=lambda case: case.no_such_field))
    summary = summarise(record(GOOD))
    assert summary[toy] is None
    assert summary.step_s is not None
    assert "AttributeError" in summary.absent["toy"]
    assert "no_such_field" in summary.absent["toy"]


def test_what_several_metrics_derive_from_is_computed_once() -> None:
    good = record(GOOD)
    case = Measurement(good.case, good.costs, good.processes, None)
    assert case.step_s is case.step_s
    assert case.step_s == summarise(record(GOOD))[STEP_S]


@pytest.mark.parametrize(
    ("value", "middle", "around"),
    [
        (None, None, (None, None)), (3, 3, (None, None)), (Interval(2.0, 1.0, 4.0, 9), 2.0, (1.0, 4.0)),
        (Percentile(0.99, None, None, None, 3, 368), None, (None, None)),
    ],
)  # fmt: skip
def test_every_kind_of_value_has_its_central_number_and_its_bounds(
    value: Any, middle: float | None, around: tuple[float | None, float | None]
) -> None:
    assert (central(value), bounds(value)) == (middle, around)


@pytest.mark.parametrize(("better", "verdict"), [("higher", True), ("lower", False), (None, None)])
def test_compare_lists_a_registered_metric_of_both_runs_and_whether_it_got_better(
    better: str | None, verdict: bool | None, registry: dict[str, Metric[Any]]
) -> None:
    register(metric(of=lambda case: max(map(max, case.steps_s)), better=better))
    (pair,) = compare(run_of(record(GOOD, *STEADY)), run_of(record(GOOD, *SLOWER))).pairs
    assert pair.figures
    (found,) = pair.figures
    assert (found.metric, found.base, found.new, found.better) == ("toy", 0.4, 0.5, verdict)
    assert found.ratio == pytest.approx(1.25)


def test_compare_without_registered_metrics_has_no_field_for_them() -> None:
    (pair,) = compare(run_of(record(GOOD, *STEADY)), run_of(record(GOOD, *STEADY))).pairs
    assert "figures" not in msgspec.to_builtins(pair)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plugin and two runs, of which the second is slower in its slowest step."""
    made = tmp_path_factory.mktemp("plugin")
    (made / "toy_metrics.py").write_text(PLUGIN)
    for name, steps in (("base", STEADY), ("new", SLOWER)):
        with RunFile.create(made / f"{name}.jsonl", header([GOOD, SILENT, BAD], run_id=name * 4)) as run_file:
            run_file.append(calibration())
            imports = [msgspec.structs.replace(process(s), import_s=1.0 + n) for n, s in enumerate(steps)]
            append(run_file, measured(GOOD, *imports), record(SILENT, *steps), failure(BAD))
    return made


def command(folder: Path, *arguments: str, code: int = 0) -> str:
    """What a command prints with the plugin loaded."""
    done = xibench_process(*arguments, cwd=folder, XIBENCH_PLUGINS="toy_metrics", PYTHONPATH=f"{ROOT}:{folder}")
    assert done.returncode == code, done.stderr
    return done.stdout


def test_a_plugins_metrics_are_in_show_json_with_their_reasons(folder: Path) -> None:
    good, silent, bad = json.loads(command(folder, "show", "base.jsonl", "--json"))["records"]
    assert good["slowest_step_s"] == 0.4
    assert good["typical_import_s"]["median"] == pytest.approx(6 ** (1 / 3))  # geometric mean
    assert (good["served_hz"], silent["slowest_step_s"], bad["slowest_step_s"]) == (None, None, None)
    assert silent["absent"]["slowest_step_s"] == "nobody asked JAX"
    assert bad["absent"]["slowest_step_s"] == bad["reason"]


def test_a_plugins_metrics_are_columns_of_the_table_and_what_is_empty_has_its_reason(folder: Path) -> None:
    shown = command(folder, "show", "base.jsonl")
    assert "slowest step" in shown
    assert " 400 " in shown
    assert "1.82 [" in shown
    assert "slowest step is empty: nobody asked JAX (jax" in shown


def test_a_plugins_metrics_are_columns_of_an_export(folder: Path) -> None:
    command(folder, "export", "base.jsonl", "--out", "base.csv")
    rows = list(csv.DictReader((folder / "base.csv").read_text().splitlines()))
    assert [row["slowest_step_s"] for row in rows] == ["0.4", "", ""]
    assert float(rows[0]["typical_import_s_low"]) < 2.0 < float(rows[0]["typical_import_s_high"])


def test_a_plugins_metrics_are_in_a_comparison(folder: Path) -> None:
    runs = ("compare", "base.jsonl", "new.jsonl")
    found = json.loads(command(folder, *runs, "--json", code=1))["pairs"][0]["figures"]
    assert next((f["metric"], f["base"], f["new"]) for f in found) == ("slowest_step_s", 0.4, 0.5)
    assert "slowest step 400 -> 500 ms (+25.0 %, worse)" in command(folder, *runs, code=1)


def test_a_plugins_metrics_have_a_page_of_the_site_which_is_not_there_without_them(folder: Path) -> None:
    command(folder, "report", "base.jsonl", "--out", "site")
    page = (folder / "site" / "further.html").read_text()
    assert "slowest_step_s" in page
    assert "nobody asked JAX" in page
    assert "further.html" in (folder / "site" / "index.html").read_text()
    assert xibench("report", "base.jsonl", "--out", "plain", cwd=folder).returncode == 0
    assert not (folder / "plain" / "further.html").exists()
