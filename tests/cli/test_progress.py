from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from tests.builders import attempt, failure, record, small_case
from xibench.cli.render import terminal
from xibench.cli.render.progress import LiveProgress, PlainProgress, ProgressView, outcome, showing_progress
from xibench.record.schema import Record

CASE = small_case()


class Hands:
    """A clock whose hands are set by the test."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hands:
    return Hands()


def test_where_stderr_is_no_terminal_each_process_is_one_line(clock: Hands) -> None:
    output = io.StringIO()
    watch = PlainProgress(output, clock)
    watch.preparing("ceilings in jax")
    watch.started(CASE, 2, 12)
    watch.phase(CASE, "timing")
    clock.now += 65
    watch.finished(record(CASE))
    watch.warned("another kernel")
    first, second = output.getvalue().splitlines()
    assert first.startswith("[3/12] pytorch xception/narrow default fp32 batch 1 75 px cpu: 5.00 [")
    assert first.endswith("images/s (1 min 5 s)")
    assert second == "warning: another kernel"


def test_a_stage_of_a_search_is_the_heading_of_its_processes_lines(clock: Hands) -> None:
    plain, live = io.StringIO(), io.StringIO()
    for watch in (PlainProgress(plain, clock), LiveProgress(ProgressView(Console(file=live, width=120), clock))):
        watch.stage("stage 3, layout: 2 recipes interleaved, 2 processes each")
        watch.finished(record(CASE))
    for output in (plain, live):
        lines = output.getvalue().splitlines()
        assert lines[0].strip() == "stage 3, layout: 2 recipes interleaved, 2 processes each"
        assert "pytorch xception/narrow" in lines[1]


def test_a_case_that_failed_is_a_line_with_its_reason(clock: Hands) -> None:
    output = io.StringIO()
    watch = PlainProgress(output, clock)
    watch.started(CASE, 0, 1)
    watch.finished(failure(CASE, reason="the worker exited with code 3"))
    assert "cpu: failed: the worker exited with code 3 (0 s)" in output.getvalue()


def test_the_bar_says_what_is_measured_what_is_done_and_how_long_the_rest_takes(clock: Hands) -> None:
    output = io.StringIO()
    view = ProgressView(terminal.console(output), clock)
    watch = LiveProgress(view)
    watch.started(CASE, 0, 3)
    watch.phase(CASE, "warm-up")
    assert view.times() == "0/3 done, 3 left · 0 s"
    clock.now += 30
    watch.finished(record(CASE))
    clock.now += 10
    watch.started(CASE, 1, 3)
    watch.phase(CASE, "timing")
    assert view.times() == "1/3 done, 2 left · 40 s · about 50 s left"
    view.console.print(view)
    last = output.getvalue().splitlines()[-1]
    assert last.strip() == "pytorch xception/narrow default fp32 batch 1 75 px cpu: timing"


def test_ceilings_are_shown_while_they_are_measured_and_do_not_count_into_the_pace(clock: Hands) -> None:
    view = ProgressView(terminal.console(io.StringIO()), clock)
    watch = LiveProgress(view)
    watch.preparing("ceilings in jax")
    assert view.doing == "ceilings in jax"
    clock.now += 20
    watch.started(CASE, 0, 3)
    clock.now += 30
    watch.finished(record(CASE))
    assert view.times() == "1/3 done, 2 left · 50 s · about 1 min 0 s left"


def test_a_process_that_is_repeated_does_not_shorten_what_is_left(clock: Hands) -> None:
    view = ProgressView(terminal.console(io.StringIO()), clock)
    watch = LiveProgress(view)
    for _ in range(2):
        watch.started(CASE, 0, 2)
        clock.now += 30
        watch.finished(record(CASE))
    assert view.times() == "1/2 done, 1 left · 1 min 0 s · about 30 s left"


@pytest.mark.parametrize(("superseded", "words"), [(True, "to be repeated"), (False, "kept and marked")])
def test_a_disturbed_process_says_so_and_what_becomes_of_it(superseded: bool, words: str) -> None:
    last = attempt(CASE, disturbed=["others took 9 % (limit 5 %)"], superseded=superseded)
    said = outcome(Record(case=CASE, attempts=[last]))
    assert said.endswith(f"disturbed ({words}): others took 9 % (limit 5 %)")
    assert ("images/s" in said) is not superseded


@pytest.mark.parametrize(
    ("scenario", "words"),
    [("offline", "images/s"), ("single-stream", "p50 200 ["), ("server", "no rate"), ("compile", "first step 0.9")],
)
def test_a_line_says_what_its_scenario_is_about(scenario: str, words: str) -> None:
    assert words in outcome(record(msgspec.structs.replace(CASE, scenario=scenario), [0.2] * 10))


def test_the_figure_of_several_processes_says_how_many() -> None:
    assert outcome(record(CASE, [0.2] * 3, [0.2] * 3)).endswith("images/s over 2 processes")


def test_a_resumed_run_does_not_count_what_was_done_before_into_its_pace(clock: Hands) -> None:
    view = ProgressView(terminal.console(io.StringIO()), clock)
    watch = LiveProgress(view)
    watch.started(CASE, 10, 12)
    clock.now += 60
    watch.finished(record(CASE))
    assert view.times() == "11/12 done, 1 left · 1 min 0 s · about 1 min 0 s left"


def test_a_terminal_gets_the_bar_and_a_file_the_lines() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    with showing_progress(Terminal()) as live, showing_progress(io.StringIO()) as plain:
        assert isinstance(live, LiveProgress)
        assert isinstance(plain, PlainProgress)
