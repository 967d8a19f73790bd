from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from tests.ab.test_compare_sides import made_pair
from tests.builders import attempt, failure, record, small_case
from xibench.cli.render import terminal
from xibench.cli.render.progress import (
    LiveProgress,
    PairProgress,
    PlainProgress,
    ProgressView,
    outcome,
    showing_progress,
)
from xibench.record.schema import Record

CASE = small_case()


class FakeClock:
    """A clock that the tests set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_each_process_is_one_line_if_stderr_is_not_a_terminal(clock: FakeClock) -> None:
    output = io.StringIO()
    progress = PlainProgress(output, clock)
    progress.preparing("ceilings in jax")
    progress.started(CASE, 2, 12)
    progress.phase(CASE, "timing")
    clock.now += 65
    progress.finished(record(CASE))
    progress.warned("another kernel")
    first, second = output.getvalue().splitlines()
    assert first.startswith("[3/12] pytorch xception/narrow default fp32 batch 1 75 px cpu: 5.00 [")
    assert first.endswith("images/s (1 min 5 s)")
    assert second == "warning: another kernel"


@pytest.mark.parametrize("superseded", [False, True])
@pytest.mark.parametrize("measured", [False, True])
def test_the_line_of_a_pair_says_what_became_of_it_and_nothing_else(
    clock: FakeClock, superseded: bool, measured: bool
) -> None:
    output = io.StringIO()
    progress = PairProgress(output, clock=clock)
    progress.pair_begins(CASE, 0, 2)
    pair = made_pair(CASE, 0, 0.01 if measured else None)
    progress.pair_ended(msgspec.structs.replace(pair, superseded=superseded), None)
    (line,) = output.getvalue().splitlines()
    assert "None" not in line
    assert ("failed: it exited" in line) == (not measured)
    assert ("disturbed, to be repeated" in line) == superseded
    assert line.endswith("(2 cases open, 0 s)")


def test_a_stage_of_a_search_is_a_heading_above_the_lines_of_its_processes(clock: FakeClock) -> None:
    plain, live = io.StringIO(), io.StringIO()
    for progress in (PlainProgress(plain, clock), LiveProgress(ProgressView(Console(file=live, width=120), clock))):
        progress.stage("stage 3, layout: 2 recipes interleaved, 2 processes each")
        progress.finished(record(CASE))
    for output in (plain, live):
        lines = output.getvalue().splitlines()
        assert lines[0].strip() == "stage 3, layout: 2 recipes interleaved, 2 processes each"
        assert "pytorch xception/narrow" in lines[1]


def test_a_case_that_failed_is_a_line_with_its_reason(clock: FakeClock) -> None:
    output = io.StringIO()
    progress = PlainProgress(output, clock)
    progress.started(CASE, 0, 1)
    progress.finished(failure(CASE, reason="the worker exited with code 3"))
    assert "cpu: failed: the worker exited with code 3 (0 s)" in output.getvalue()


def test_the_bar_shows_the_case_the_counts_and_the_time_left(clock: FakeClock) -> None:
    output = io.StringIO()
    view = ProgressView(terminal.console(output), clock)
    progress = LiveProgress(view)
    progress.started(CASE, 0, 3)
    progress.phase(CASE, "warm-up")
    assert view.times() == "0/3 done, 3 left · 0 s"
    clock.now += 30
    progress.finished(record(CASE))
    clock.now += 10
    progress.started(CASE, 1, 3)
    progress.phase(CASE, "timing")
    assert view.times() == "1/3 done, 2 left · 40 s · about 50 s left"
    view.console.print(view)
    last = output.getvalue().splitlines()[-1]
    assert last.strip() == "pytorch xception/narrow default fp32 batch 1 75 px cpu: timing"


def test_ceilings_are_shown_but_do_not_affect_the_estimated_time_left(clock: FakeClock) -> None:
    view = ProgressView(terminal.console(io.StringIO()), clock)
    progress = LiveProgress(view)
    progress.preparing("ceilings in jax")
    assert view.doing == "ceilings in jax"
    clock.now += 20
    progress.started(CASE, 0, 3)
    clock.now += 30
    progress.finished(record(CASE))
    assert view.times() == "1/3 done, 2 left · 50 s · about 1 min 0 s left"


def test_a_repeated_process_does_not_shorten_the_time_left(clock: FakeClock) -> None:
    view = ProgressView(terminal.console(io.StringIO()), clock)
    progress = LiveProgress(view)
    for _ in range(2):
        progress.started(CASE, 0, 2)
        clock.now += 30
        progress.finished(record(CASE))
    assert view.times() == "1/2 done, 1 left · 1 min 0 s · about 30 s left"


@pytest.mark.parametrize(("superseded", "words"), [(True, "to be repeated"), (False, "kept and marked")])
def test_the_line_of_a_disturbed_process_says_whether_it_is_repeated(superseded: bool, words: str) -> None:
    last = attempt(CASE, disturbed=["others took 9 % (limit 5 %)"], superseded=superseded)
    line = outcome(Record(case=CASE, attempts=[last]))
    assert line.endswith(f"disturbed ({words}): others took 9 % (limit 5 %)")
    assert ("images/s" in line) is not superseded


@pytest.mark.parametrize(
    ("scenario", "words"),
    [("offline", "images/s"), ("single-stream", "p50 200 ["), ("server", "no rate"), ("compile", "first step 0.9")],
)
def test_a_line_has_the_headline_figures_of_its_scenario(scenario: str, words: str) -> None:
    assert words in outcome(record(msgspec.structs.replace(CASE, scenario=scenario), [0.2] * 10))


def test_a_figure_over_several_processes_has_their_number() -> None:
    assert outcome(record(CASE, [0.2] * 3, [0.2] * 3)).endswith("images/s over 2 processes")


def test_processes_before_a_resume_do_not_affect_the_estimated_time_left(clock: FakeClock) -> None:
    view = ProgressView(terminal.console(io.StringIO()), clock)
    progress = LiveProgress(view)
    progress.started(CASE, 10, 12)
    clock.now += 60
    progress.finished(record(CASE))
    assert view.times() == "11/12 done, 1 left · 1 min 0 s · about 1 min 0 s left"


def test_a_terminal_shows_the_bar_and_a_file_receives_lines() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    with showing_progress(Terminal()) as live, showing_progress(io.StringIO()) as plain:
        assert isinstance(live, LiveProgress)
        assert isinstance(plain, PlainProgress)


def test_a_figure_beside_a_busy_program_is_in_parentheses_while_the_run_goes_on_too() -> None:
    busy = attempt(CASE, [0.2] * 3, disturbed=["others took 67 %"], others_share=0.67)
    line = outcome(Record(case=CASE, attempts=[busy]))
    assert "(5.00 [5.00, 5.00] images/s); disturbed (kept and marked): others took 67 %" in line
