"""Compare two runs case by case: ratios, verdicts, and the remarks that belong beside them.

Cases are compared only where they are alike: the same network, input and weights on the same machine with the same
settings. Unlike cases are refused, with what differs, unless the caller allows them; then the differences are listed
with the verdict.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from xibench.measure import comparing
from xibench.measure.comparing import Ratio, Verdict
from xibench.record import format
from xibench.record.metrics import METRICS, Measurement, Metric, Unavailable, central
from xibench.record.schema import Case, Environment, Record, Server, Setting
from xibench.record.store import Run
from xibench.record.summary import disturbances

OTHER_CEILING: Final = 1.2
"""Ratio of the matmul ceilings of two runs above which `compare` says that the machine itself was not as fast."""


class FigureChange(msgspec.Struct, frozen=True, kw_only=True):
    """A metric in both runs, beside the verdict, which is about time per step. It has no verdict of its own."""

    metric: str
    unit: str
    base: float | None  # its central value; null where that run has none
    new: float | None
    ratio: float | None  # new over base; null where either is missing or base is 0
    better: bool | None  # whether it changed for the better; null where it did not change, or neither way is better


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One case: new over base, so that above 1 is slower."""

    case: Case
    ratio: float
    low: float | None  # 95 %; null where there are too few processes for an interval
    high: float | None
    verdict: Verdict
    p: float | None  # of "no difference", before the correction for many cases
    n: int  # pairs of processes, or the processes of the side that has fewer
    paired: bool  # whether base and new were measured interleaved
    detectable: float | None = None  # the smallest change that n pairs of this spread find with 95 % power; of pairs
    unlike: list[str] = []  # what differs outside the case's own axis
    changed: list[str] = []  # versions and commits that differ: what a comparison of two runs is usually about
    notes: list[str] = []  # disturbances, repetitions, failures
    failed: bool = False  # a pair of it could not be measured, so that none was taken after it
    figures: list[FigureChange] | UnsetType = UNSET  # of metrics that every listing shows; left out if none
    metric: str | UnsetType = UNSET  # that is compared (`pair_metrics`); left out if it is the time per step alone
    sides: tuple[str, str] | UnsetType = UNSET  # base and new; left out if the comparison has only two sides
    further_pairs: int | UnsetType = UNSET  # that would decide it if they were like those so far; left out if decided
    further_s: float | UnsetType = UNSET  # their duration
    medians_s: tuple[float, float] | UnsetType = UNSET  # of the base and the new run; left out of pairs


class NotCompared(msgspec.Struct, frozen=True, kw_only=True):
    """A case without a verdict, and why."""

    case: Case
    why: list[str]
    failed: bool = False  # it could not be measured; else it was not tried, or is not alike


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """A side in a ranking."""

    side: str
    rank: int  # 1 + the number of sides that are certainly better; ties share a rank
    ratio: float  # to the side that is listed first
    low: float | None  # 95 %; null for the first side, or if there are too few pairs
    high: float | None


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """More than two sides of a comparison, the best first."""

    case: Case
    metric: str
    n: int  # pairs of each two sides, or more
    sides: list[Ranked]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `xibench compare` and `xibench ab`."""

    base: str
    new: str
    threshold: float  # a change within this share is the same
    pairs: list[Compared]
    not_compared: list[NotCompared]
    slower: int  # cases of `pairs` with that verdict
    rankings: list[Ranking] | UnsetType = UNSET  # of more than two sides; left out if there are two


def compare(base: Run, new: Run, threshold: float = comparing.THRESHOLD, allow_unlike: bool = False) -> Comparison:
    """Compare every case that both runs have; the others are listed with the reason.

    Args:
        base: The earlier run.
        new: The later run, whose ratios to the base are taken.
        threshold: A change within this share counts as the same.
        allow_unlike: Whether unlike cases are compared too, with what differs.
    """
    theirs = {record.case.key: record for record in new.records}
    not_compared: list[NotCompared] = []
    alike: list[tuple[Record, Record, list[str]]] = []
    for record in base.records:
        other = theirs.pop(record.case.key, None)
        why = _obstacles(record, other)
        unlike = [] if other is None or why else unlike_runs(base, new) + unlike_cases(record, other)
        if other is not None and not why:
            unlike += _unlike_weights(base.index.weights_digest(record.case), new.index.weights_digest(other.case))
        if other is None or why or (unlike and not allow_unlike):
            not_compared.append(NotCompared(case=record.case, why=why or unlike))
        else:
            alike.append((record, other, unlike))
    not_compared += [NotCompared(case=r.case, why=["only in the new run"]) for r in theirs.values()]
    ratios = [
        comparing.unpaired_ratio(_samples(record), _samples(other), record.case.seed) for record, other, _ in alike
    ]
    around = _changed_around(base.header.environment, new.header.environment) + _changed_ceilings(base, new)
    pairs = [
        msgspec.structs.replace(compared(
            record.case, ratio, verdict, unlike,
            differing_versions(record.processes[0].versions, other.processes[0].versions) + around,
            _notes(record, other),
            figures=_figures(*(
                Measurement(r.case, r.costs, r.processes, run.calibration) for r, run in ((record, base), (other, new))
            )),
        ), medians_s=(_median_s(record), _median_s(other)))
        for (record, other, unlike), ratio, verdict in zip(
            alike, ratios, comparing.verdicts(ratios, threshold), strict=True
        )
    ]
    return Comparison(
        base=base.header.run_id, new=new.header.run_id, threshold=threshold, pairs=pairs, not_compared=not_compared,
        slower=sum(pair.verdict == "slower" for pair in pairs),
    )  # fmt: skip


def _median_s(record: Record) -> float:
    """Return the median over the processes of the median of what is compared."""
    return statistics.median(map(statistics.median, _samples(record)))


def compared(
    case: Case, ratio: Ratio, verdict: Verdict, unlike: list[str], changed: list[str], notes: list[str],
    detectable: float | None = None, failed: bool = False, figures: Sequence[FigureChange] = (),
) -> Compared:  # fmt: skip
    """Return a ratio with its verdict and remarks. The parameters are the fields of `Compared`."""
    return Compared(
        case=case, ratio=ratio.ratio, low=ratio.low, high=ratio.high, verdict=verdict, p=ratio.p, n=ratio.n,
        paired=ratio.paired, detectable=detectable, unlike=unlike, changed=changed, notes=notes, failed=failed,
        figures=list(figures) or UNSET,
    )  # fmt: skip


def unlike_runs(base: Run, new: Run) -> list[str]:
    """List what makes all cases of two runs unlike: another machine, other images, other weights."""
    found = differing_machines(base.header.environment, new.header.environment)
    if base.header.images.digest != new.header.images.digest:
        found.append(f"images {base.header.images.source} -> {new.header.images.source}: not the same pixels")
    if base.header.weights_digest != new.header.weights_digest:
        found.append("not the same weights file")
    return found


def unlike_cases(base: Record, new: Record) -> list[str]:
    """List what differs between two records of a case: network, seeds, settings, substituted settings."""
    found = []
    if (base.costs.macs, base.costs.parameters_total) != (new.costs.macs, new.costs.parameters_total):
        found.append(f"not the same network: {base.costs.macs} -> {new.costs.macs} MACs")
    found += [
        f"{name} {getattr(base.case, name)} -> {getattr(new.case, name)}"
        for name in ("weights", "seed")
        if getattr(base.case, name) != getattr(new.case, name)
    ]
    left, right = base.processes[0], new.processes[0]
    found += unlike_settings(left.settings, right.settings)
    ran = [", ".join(s.ran for s in process.substitutions) or "what was wanted" for process in (left, right)]
    if ran[0] != ran[1]:
        found.append(f"ran {ran[0]} -> {ran[1]}")
    return found


def _unlike_weights(base: str | None, new: str | None) -> list[str]:
    """Say so if one seed gave two sets of weights: NumPy promises no stable stream of random numbers."""
    if base is None or new is None or base == new:
        return []
    return [f"the seed drew other weights: digest {base[:12]} -> {new[:12]}"]


def unlike_settings(base: dict[str, Setting], new: dict[str, Setting]) -> list[str]:
    """List the settings that both sides read back and that differ: `threads 2 -> 1`."""
    return [
        f"{name} {value} -> {new[name]}"
        for name, value in base.items()
        if name in new and (type(value), value) != (type(new[name]), new[name])
    ]


def differing_machines(base: Environment, new: Environment) -> list[str]:
    """List what makes two machines unlike: `cores_usable 2 -> 4`. Their short names follow from these fields."""
    found = [
        f"{name} {getattr(base, name)} -> {getattr(new, name)}"
        for name in ("cpu_model", "cores_usable")
        if getattr(base, name) != getattr(new, name)
    ]
    if base.cpu_flags != new.cpu_flags:  # a virtual machine's processors of several generations may have one name
        found.append(f"cpu_flags {' '.join(base.cpu_flags)} -> {' '.join(new.cpu_flags)}")
    if [gpu.name for gpu in base.gpus] != [gpu.name for gpu in new.gpus]:
        found.append("not the same GPUs")
    return found + _differing_limits(base, new)


def _differing_limits(base: Environment, new: Environment) -> list[str]:
    """List the cores, limits and environment variables that differ, if both runs recorded them (since format 4)."""
    if base.variables is None or new.variables is None:
        return []
    limits = ("cpus_allowed", "memory_nodes", "cpu_quota_cores", "memory_limit_bytes")
    then = {name: getattr(base, name) for name in limits} | base.variables
    now = {name: getattr(new, name) for name in limits} | new.variables
    return [
        f"{name} {_or_unset(then.get(name))} -> {_or_unset(now.get(name))}"
        for name in dict.fromkeys((*then, *now))
        if then.get(name) != now.get(name)
    ]


def _or_unset(value: object) -> object:
    return "unset" if value is None else value


def differing_versions(base: Mapping[str, str | None], new: Mapping[str, str | None]) -> list[str]:
    """`torch 2.12.0 -> 2.13.0`, for every distribution that differs."""
    names = dict.fromkeys((*base, *new))
    return [f"{name} {base.get(name)} -> {new.get(name)}" for name in names if base.get(name) != new.get(name)]


def _changed_around(base: Environment, new: Environment) -> list[str]:
    """List what differs between the runs themselves: commit, operating system, kernel, driver."""

    def described(environment: Environment) -> dict[str, str]:
        commit = (environment.git_commit or "unknown")[:10]
        return {
            "commit": f"{commit} with uncommitted changes" if environment.git_dirty else commit,
            "os": environment.os,
            "kernel": environment.kernel,
            "driver": ", ".join(gpu.driver for gpu in environment.gpus) or "none",
        }

    left, right = described(base), described(new)
    return [f"{name} {left[name]} -> {right[name]}" for name in left if left[name] != right[name]]


def _changed_ceilings(base: Run, new: Run) -> list[str]:
    """List the ceilings that differ by more than `OTHER_CEILING`: the machine itself was not as fast in both runs.

    A framework's own matmuls are compared, because the ceiling of a run is that of the fastest framework in it.
    """
    if base.calibration is None or new.calibration is None:
        return []
    earlier = {(matmul.framework, matmul.precision): matmul.flops_per_s for matmul in base.calibration.matmuls}
    found = []
    for matmul in new.calibration.matmuls:
        then, now = earlier.get((matmul.framework, matmul.precision)), matmul.flops_per_s
        if then and now and not 1 / OTHER_CEILING < now / then < OTHER_CEILING:
            found.append(
                f"{matmul.precision} matmul in {matmul.framework} {format.rate(then)} -> {format.rate(now)} "
                f"({(now / then - 1) * 100:+.0f} %)"
            )
    return found


def _obstacles(base: Record, new: Record | None) -> list[str]:
    if new is None:
        return ["only in the base run"]
    found = [
        f"{side}: {record.status}, {record.reason}"
        for side, record in (("base", base), ("new", new))
        if record.status != "ok"
    ]
    if not found and any(isinstance(p.measured, Server) for p in (*base.processes, *new.processes)):
        name = base.case.scenario
        found.append(f"scenario {name}: the highest rate is a step of a search, not a time; compare single-stream")
    return found


def _samples(record: Record) -> list[list[float]]:
    """Per process the samples that are compared: timed steps or, without any, compile time plus first step."""
    steps = [p.steps_s for p in record.processes if p.steps_s]
    return steps or [[(p.compile_s or 0.0) + p.first_step_s] for p in record.processes]


def _figures(base: Measurement, new: Measurement) -> list[FigureChange]:
    """The metrics that are not placed by scenarios or pages, if either run has them."""
    changes = []
    for metric in METRICS.values():
        if metric.placed or not metric.applies(base.case):
            continue
        was, now = (None if isinstance(v, Unavailable) else central(v) for v in (metric.value(base), metric.value(new)))
        if was is not None or now is not None:
            changes.append(_figure_change(metric, was, now))
    return changes


def _figure_change(metric: Metric[Any], was: float | None, now: float | None) -> FigureChange:
    better = None
    if metric.better and was is not None and now is not None and was != now:
        better = (now > was) == (metric.better == "higher")
    return FigureChange(
        metric=metric.name, unit=metric.unit, base=was, new=now,
        ratio=now / was if was and now is not None else None, better=better,
    )  # fmt: skip


def _notes(base: Record, new: Record) -> list[str]:
    notes = []
    for side, record in (("base", base), ("new", new)):
        notes += [f"{side}: disturbed: {phrase}" for phrase in disturbances(record.counted)]
        notes += [f"{side}: a process failed: {a.status}, {a.reason}" for a in record.attempts if a.process is None]
        if record.superseded:
            notes.append(f"{side}: {len(record.superseded)} disturbed and repeated, left out")
    single = [side for side, record in (("base", base), ("new", new)) if len(record.processes) < 2]
    if single:
        cure = "measure it again with `--processes 3` or more"
        if single != ["new"]:
            cure = "`xibench ab` measures both sides"
        notes.append(
            f"one process of the {' and of the '.join(single)} run: a change cannot be distinguished from what differs "
            f"between processes; {cure}"
        )
    return notes
