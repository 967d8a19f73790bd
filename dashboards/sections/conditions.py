"""Conditions: the state of the machine around each process, disturbances, and their consequences."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from dashboards import captions, curves, trust, words
from dashboards.content import Block, Cell, Chart, Figure, FigureBlock, Key, Marked, Prose, Section, Table
from dashboards.runs import LoadedRun, case_words
from xibench.record import format as fmt
from xibench.record.schema import Attempt, Conditions, GpuConditions, Surroundings
from xibench.scenarios import qualifier

HZ: Final = 1e9
MAX_UNFOLDED: Final = 12  # disturbed processes; longer lists are collapsed


def section(run: LoadedRun) -> Section:
    """Counts, disturbances with their reasons, charts over the run, and the conditions around every process."""
    blocks: list[Block] = [Prose(_counts(run))]
    watched = [a for a in run.attempts if a.surroundings]
    if not watched:
        blocks.append(Prose((_unwatched(run),), "note"))
    else:
        blocks += [*_disturbed(run), *_figures(run, watched), *_absent(watched)]
    if run.attempts:
        blocks.append(_processes(run))
    if any(_gpus(a) for a in watched):
        blocks.append(_cards(watched))
    return Section(f"conditions-{run.anchor}", f"Conditions, run {run.short}", tuple(blocks))


def _counts(run: LoadedRun) -> tuple[str, ...]:
    """How many processes ran, and how many count, were superseded or failed."""
    started = [a for a in run.attempts if a.process is not None or a.surroundings]
    superseded = _superseded(run)
    counting = [a for a in run.attempts if a.process is not None and a.order not in superseded]
    marked = sum(bool(_reasons(a)) for a in counting)
    failed = sum(a.process is None for a in run.attempts)
    text = (
        f"{fmt.plural(len(run.attempts), 'process')} in the run file, {fmt.grouped(len(started))} of them started. "
        f"Counted: {fmt.grouped(len(counting))}; disturbed and superseded: {fmt.grouped(len(superseded))}; "
        f"without a measurement: {fmt.grouped(failed)}. Counted although disturbed, marked (‡): {fmt.grouped(marked)}."
    )
    return (text,)


def _superseded(run: LoadedRun) -> set[int]:
    """The orders of the attempts that a repetition replaced; until it has run, an attempt counts."""
    return {a.order for row in run.rows for a in row.record.superseded}


def _unwatched(run: LoadedRun) -> str:
    if not run.attempts:
        return "No process has run."
    return "Conditions were not recorded: the format of this run file predates them."


def _reasons(attempt: Attempt) -> list[str]:
    return attempt.surroundings.disturbed if attempt.surroundings else []


def _disturbed(run: LoadedRun) -> list[Block]:
    superseded = _superseded(run)
    rows: list[tuple[Cell, ...]] = [
        (str(a.order), case_words(a.case), _conditions_of(a), _outcome(a, superseded), "; ".join(_reasons(a)))
        for a in run.attempts if _reasons(a)
    ]
    if not rows:
        return [Prose(("No process was disturbed.",))]
    columns = ("Order", "Case", "Conditions", "Outcome", "Disturbed by")
    fold = f"{len(rows)} disturbed processes" if len(rows) > MAX_UNFOLDED else ""
    return [Table(columns, tuple(rows), caption="Disturbed processes with the reading and its limit.", fold=fold)]


def _conditions_of(a: Attempt) -> str:
    scenario = [name] if (name := qualifier(a.case.scenario)) else []
    return ", ".join([*scenario, a.case.precision, f"batch {a.case.batch}", f"process {a.number + 1}"])


def _outcome(a: Attempt, superseded: Collection[int]) -> str:
    if a.order in superseded:
        return "superseded"
    return "counted, marked" if a.process else words.status(a.status)


def _figures(run: LoadedRun, watched: Sequence[Attempt]) -> list[Block]:
    drawings = [
        chart for chart in (_shares(watched), _clocks(watched)) if chart is not None
    ]
    if not drawings:
        return []
    device = run.attempts[0].case.device
    caption = (
        ("One mark per process in run order, so that drift of the machine shows as a slope. Hollow: disturbed. "
        "Conditions are single readings, so there is no interval."),
        f"{captions.hardware(run.header.environment, device)}. n = {fmt.plural(len(watched), 'process')}.",
    )
    return [FigureBlock("Conditions over the run", (_worst(watched),), tuple(drawings), caption)]


def _worst(watched: Sequence[Attempt]) -> str:
    found = [(s.others_share, a) for a in watched if (s := a.surroundings) and s.others_share is not None]
    if not found:
        return "The CPU use of other programs is unknown."
    share, a = max(found, key=lambda pair: pair[0])
    return (
        f"Other programs used at most {fmt.percentage(100 * share)} of the usable cores while a process ran: "
        f"{case_words(a.case)}, process {a.order} of the run."
    )


def _shares(watched: Sequence[Attempt]) -> Chart | None:
    traces = [
        _trace(watched, "other programs", "var(--part-1)", "circle", lambda s: _percent(s.others_share)),
        _trace(watched, "hypervisor (steal)", "var(--part-3)", "diamond", lambda s: _percent(s.steal_share)),
    ]
    return _chart(traces, "CPU time taken from the run", "share of the usable cores (%)")


def _clocks(watched: Sequence[Attempt]) -> Chart | None:
    traces = [
        _trace(watched, "CPU, before", "var(--part-2)", "circle", lambda s: _scaled(s.before.cpu_hz)),
        _trace(watched, "CPU, after", "var(--part-1)", "diamond", lambda s: _scaled(s.after.cpu_hz)),
        _trace(watched, "GPU, before", "var(--part-4)", "square", lambda s: _sm(s.before)),
        _trace(watched, "GPU, after", "var(--part-3)", "triangle-up", lambda s: _sm(s.after)),
    ]
    return _chart(traces, "Clocks", "clock (GHz)")


def _chart(traces: Sequence[dict[str, Any]], heading: str, axis: str) -> Chart | None:
    known = [trace for trace in traces if trace["x"]]
    if not known:
        return None
    figure: Figure = curves.scatter(list(known), "processes in run order", axis, 280)
    figure["layout"]["yaxis"]["rangemode"] = "tozero"
    last = max(x for trace in known for x in trace["x"])
    figure["layout"]["xaxis"] |= {"tick0": 0, "dtick": max(1, round(last / 6)), "zeroline": False}
    keys = tuple(Key(t["name"], t["marker"]["line"]["color"], t["meta"]) for t in known)
    return Chart(figure, heading, f"{heading}, process by process.", keys)


def _trace(
    watched: Sequence[Attempt], name: str, colour: str, symbol: str, value: Callable[[Surroundings], float | None]
) -> dict[str, Any]:
    found = [(a, v) for a in watched if a.surroundings and (v := value(a.surroundings)) is not None]
    return {
        "type": "scatter", "mode": "markers", "name": name, "meta": symbol, "cliponaxis": False,
        "x": [a.order for a, _ in found], "y": [v for _, v in found],
        "marker": {
            "color": colour, "size": 8 if len(found) < 40 else 5, "line": {"color": colour, "width": 1.5},
            "symbol": [f"{symbol}-open" if _reasons(a) else symbol for a, _ in found],
        },
        "customdata": [
            f"<b>{words.chart_text(case_words(a.case))}</b><br>{name}: {fmt.number(v)}"
            + "".join(f"<br>{words.chart_text(reason)}" for reason in _reasons(a)) for a, v in found
        ],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _scaled(hertz: float | None) -> float | None:
    return None if hertz is None else hertz / HZ


def _sm(conditions: Conditions) -> float | None:
    clocks = [gpu.sm_clock_hz for gpu in conditions.gpus if gpu.sm_clock_hz is not None]
    return min(clocks) / HZ if clocks else None


def _processes(run: LoadedRun) -> Table:
    """Every process: its outcome, and the machine before and after it."""
    titles = ("Order", "Case", "Conditions", "Status", "Reason")
    superseded = _superseded(run)
    named = [
        (str(a.order), case_words(a.case), _conditions_of(a), _status(a, superseded), a.reason or fmt.NONE)
        for a in run.attempts
    ]
    if not any(a.surroundings for a in run.attempts):
        return Table(titles, tuple(named), fold="Every process")
    rows = tuple(
        (*names, *_during(a.surroundings), *(_before_after(a.surroundings, read) for read in _READINGS.values()))
        for names, a in zip(named, run.attempts, strict=True)
    )
    columns = (*titles, "Wall time, s", "Others during, %", "Steal during, %", *_READINGS)
    caption = "Arrows: before → after the process; others: CPU use of other programs."
    return Table(columns, rows, trust.numeric(5, columns), caption=caption, fold="Every process, before and after")


def _status(a: Attempt, superseded: Collection[int]) -> Cell:
    status = "superseded" if a.order in superseded else words.status(a.status)
    return Marked(status, "; ".join(_reasons(a))) if _reasons(a) else status


def _during(s: Surroundings | None) -> tuple[str, str, str]:
    if s is None:
        return (fmt.NONE,) * 3
    return fmt.number(s.wall_s), _share(s.others_share), _share(s.steal_share)


def _share(share: float | None) -> str:
    return fmt.NONE if share is None else fmt.number(100 * share, 1)


_READINGS: Final[dict[str, Callable[[Conditions], str]]] = {
    "Load": lambda c: fmt.or_none(c.load_1m, lambda v: fmt.number(v, 2)),
    "Others, %": lambda c: _share(c.others_share),
    "Steal, %": lambda c: _share(c.steal_share),
    "Clock, GHz": lambda c: fmt.or_none(_scaled(c.cpu_hz), lambda v: fmt.number(v, 2)),
    "Governor": lambda c: c.governor or fmt.NONE,
    "Thermal events": lambda c: fmt.NONE if c.throttle_count is None else fmt.grouped(c.throttle_count),
}


def _before_after(s: Surroundings | None, read: Callable[[Conditions], str]) -> str:
    """`0.31 → 1.72`, or one figure if both are equal."""
    if s is None:
        return fmt.NONE
    before, after = read(s.before), read(s.after)
    return before if before == after else f"{before} → {after}"


def _gpus(a: Attempt) -> list[tuple[str, GpuConditions]]:
    if a.surroundings is None:
        return []
    moments = (("before", a.surroundings.before), ("after", a.surroundings.after))
    return [(moment, gpu) for moment, conditions in moments for gpu in conditions.gpus]


def _cards(watched: Sequence[Attempt]) -> Table:
    rows = tuple(
        (str(a.order), moment, str(g.index), fmt.or_none(_scaled(g.sm_clock_hz)),
         fmt.or_none(_scaled(g.memory_clock_hz)),
         fmt.NONE if g.throttle_reasons is None else ", ".join(g.throttle_reasons) or "none",
         fmt.or_none(g.temperature_celsius, lambda v: fmt.number(v, 0)), fmt.or_none(g.power_watts),
         fmt.or_none(g.power_limit_watts), fmt.NONE if g.foreign_processes is None else str(g.foreign_processes))
        for a in watched for moment, g in _gpus(a)
    )
    columns = (
        "Order", "When", "GPU", "SM clock, GHz", "Memory clock, GHz", "Throttled by", "Temperature, °C", "Power, W",
        "Power limit, W", "Foreign processes",
    )
    return Table(columns, rows, frozenset({3, 4, 6, 7, 8, 9}), fold="Every GPU, before and after each process")


def _absent(watched: Sequence[Attempt]) -> list[Block]:
    """Conditions that could not be read, with the reasons."""
    found: dict[str, dict[str, None]] = {}
    for a in watched:
        s = a.surroundings
        if s:
            for absent in (s.absent, s.before.absent, s.after.absent, *(g.absent for _, g in _gpus(a))):
                for field, why in absent.items():
                    found.setdefault(why, {})[field] = None
    rows: tuple[tuple[Cell, ...], ...] = tuple((", ".join(fields), why) for why, fields in found.items())
    return [Table(("Unavailable condition", "Reason"), rows)] if rows else []
