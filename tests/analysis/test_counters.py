"""The blueprint's FLOPs equal the count of each framework's own counter once the known terms are added."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from frameworks.api import FRAMEWORKS
from frameworks.architectures import MODELS, network
from frameworks.blueprint import edges
from frameworks.cost import cost
from frameworks.errors import UnknownName
from tests.workers.listener import RecordingListener
from xibench.analysis import counters
from xibench.analysis.counter_terms import RULES, Term, elements_inside, terms
from xibench.analysis.counters import CounterCheck
from xibench.workers import probe
from xibench.workers.__main__ import answer_to
from xibench.workers.messages import CountFlops, Failure

NETWORKS = (
    ("xception", "narrow", 75, 1),
    ("xception", "narrow", 96, 2),
    ("xception", "narrow+segments_4", 75, 1),
    ("xception", "narrow+segments_3+elu_between", 75, 1),
    ("inception_v3", "narrow", 75, 1),
    ("inception_v3", "narrow", 96, 2),
    ("inception_v3", "narrow+keras_2016", 96, 1),
    ("resnet50", "narrow", 75, 1),
    ("resnet50", "narrow", 96, 2),
    ("vgg16", "narrow", 75, 1),
)
"""(model, variant, resolution, batch): together they have every layer kind, with and without padding."""


def checked(framework: str, model: str, variant: str, resolution: int, batch: int) -> CounterCheck:
    """Return a check whose framework runs in this process, which is faster than starting a process for each."""
    built = network(model, variant, resolution=resolution)
    request = CountFlops(framework=framework, model=model, variant=variant, resolution=resolution, batch=batch)
    flops = probe.count_flops(request, RecordingListener()).flops
    ours = 2 * cost(built, batch=batch).macs
    counter = FRAMEWORKS[framework].flop_counter or ""
    return CounterCheck(framework, counter, ours, flops, terms(framework, built, batch))


@pytest.mark.parametrize(("model", "variant", "resolution", "batch"), NETWORKS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_difference_from_a_frameworks_counter_is_explained(
    framework: str, model: str, variant: str, resolution: int, batch: int
) -> None:
    check = checked(framework, model, variant, resolution, batch)
    assert check.problem is None
    assert check.agrees, check.explanation
    assert (check.flops == check.ours_flops) == (framework == "pytorch")


@pytest.mark.parametrize("framework", ["tensorflow", "jax"])
def test_no_term_of_a_counter_can_be_omitted(framework: str) -> None:
    checks = [checked(framework, *built) for built in NETWORKS if built[1] == "narrow" and built[2] == 75]
    for what in RULES[framework]:
        without_it = [replace(c, terms=tuple(t for t in c.terms if t.what != what)) for c in checks]
        assert not all(check.agrees for check in without_it), what


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_whole_networks_agree_when_counted_in_separate_processes(model: str) -> None:
    checks = counters.counters(model)
    assert [check.framework for check in checks] == list(FRAMEWORKS)
    assert all(check.agrees for check in checks), [check.explanation or check.problem for check in checks]


@pytest.mark.parametrize(("size", "kernel", "stride"), [(7, 3, 1), (8, 3, 2), (5, 7, 1), (9, 1, 2), (6, 2, 2)])
def test_window_elements_inside_the_image_equal_a_brute_force_count(size: int, kernel: int, stride: int) -> None:
    before, _ = edges("same", size, kernel, stride)
    outputs = -(-size // stride)
    counted = sum(0 <= i * stride + k - before < size for i in range(outputs) for k in range(kernel))
    assert elements_inside(size, kernel, stride, before, outputs) == counted


def test_an_unexplained_difference_is_reported_as_such() -> None:
    check = CounterCheck("jax", "a counter", 1_000_000, 1_500_000.0, (Term("batch norm", 200_000),))
    assert (check.agrees, check.ratio, check.expected_flops) == (False, 1.5, 1_200_000)
    assert check.explanation == "+200,000 batch norm; +300,000 unexplained"


def test_an_explained_difference_lists_its_terms_and_equal_counts_have_no_explanation() -> None:
    both = (Term("batch norm", 200_000), Term("edges", -50_000))
    more = CounterCheck("jax", "a counter", 1_000_000, 1_150_000.0, both)
    assert (more.agrees, more.explanation) == (True, "+200,000 batch norm; -50,000 edges")
    assert CounterCheck("pytorch", "a counter", 1_000_000, 1_000_000.0, ()).explanation is None


def test_a_worker_that_dies_gives_a_problem_instead_of_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(framework: str) -> list[str]:
        return [sys.executable, "-c", "import sys; print('{'); sys.exit('no room')"]

    monkeypatch.setattr("xibench.workers.session.worker_command", dies)
    (check,) = counters.counters("xception", "narrow", 75, frameworks=["jax"])
    assert (check.flops, check.ratio, check.agrees, check.explanation) == (None, None, None, None)
    assert check.problem == "jax: the worker exited with code 1 during start, without a result; it printed no room"


def test_an_exception_of_the_counter_becomes_the_reason_of_the_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(framework: str) -> None:
        raise RuntimeError("no\ncounter")

    monkeypatch.setattr(probe, "load", refuse)
    request = CountFlops(framework="jax", model="xception", variant="narrow", resolution=75, batch=1)
    answer = answer_to(request, RecordingListener(), probe.count_flops)
    assert answer == Failure(status="failed", reason="RuntimeError: no counter")


def test_a_framework_counts_in_its_own_interpreter() -> None:
    (check,) = counters.counters("xception", "narrow", 75, 3, frameworks=["pytorch"])
    assert check.flops == check.ours_flops == 2 * cost(network("xception", "narrow", resolution=75), batch=3).macs


def test_docs_costs_quotes_the_counts_that_the_rules_give() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "costs.md").read_text(encoding="utf-8")
    for model in (name for name, entry in MODELS.items() if entry.main):
        built = network(model)
        ours = 2 * cost(built).macs
        assert f"{ours:,}" in manual
        for framework in FRAMEWORKS:
            for term in terms(framework, built, 1):
                assert f"{term.flops:+,}" in manual, (model, framework, term)


def test_an_unknown_model_is_refused_before_any_worker_starts() -> None:
    with pytest.raises(UnknownName, match="did you mean xception"):
        counters.counters("xeption")
