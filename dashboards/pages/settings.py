"""Settings: with which settings, under which conditions and on what machine were the runs measured?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from dashboards import words
from dashboards.content import Block, Cell, Facts, Link, Marked, Prose, Section, Table
from dashboards.runs import Group, LoadedRun, Row, case_words, recipe_order
from dashboards.sections import conditions
from dashboards.setting_differences import between_frameworks, between_processes
from dashboards.site import Content, PageKind, Site
from xibench.record import format as fmt
from xibench.record.schema import Environment, Process, SamplingConfig, Setting
from xibench.record.text import shell_word

RUNS_FOLDER: Final = "runs"


def content(site: Site) -> Content:
    """Reported settings, substitutions, conditions, environment, versions, and the command that repeats a run."""
    sections = [_settings(group) for group in site.families()]
    for run in site.runs:
        sections += [conditions.section(run), _run(run)]
    return Content(tuple(sections))


PAGE: Final = PageKind(
    path="settings.html",
    label="Settings",
    title="Settings, conditions and environment",
    question="How were these runs measured, and how can they be repeated?",
    content=content,
)


def run_file(run: LoadedRun) -> str:
    """The path of a run file inside the site: its name with the start of its hash, so that names never collide."""
    return f"{RUNS_FOLDER}/{run.anchor}-{run.name}"


def _settings(group: Group) -> Section:
    blocks: list[Block] = [*_framework_differences(group), *_process_differences(group)]
    for framework in dict.fromkeys(row.case.framework for row in group.rows):
        rows = [row for row in group.measured if row.case.framework == framework]
        if rows:
            blocks.append(_settings_table(framework, rows))
    blocks += _substitutions(group)
    return Section(group.key, group.title, tuple(blocks), f"{group.subtitle}: settings as reported by each framework")


def _framework_differences(group: Group) -> list[Block]:
    differences = between_frameworks(group)
    if not differences:
        return [Prose(("Frameworks that share a setting reported the same value under the same recipe.",))]
    frameworks = list(dict.fromkeys(row.framework for row in group.measured))
    rows: list[tuple[Cell, ...]] = []
    for entry in differences:
        values = dict(entry.values)
        shown = [_show(values[f]) if f in values else fmt.NONE for f in frameworks]
        rows.append((entry.setting, words.name(entry.recipe), fmt.listing(list(entry.networks)), *shown))
    caption = (
        "Settings that differ between frameworks under the same recipe. Take them into account when comparing these "
        "cases."
    )
    return [Table(("Setting", "Recipe", "Networks", *frameworks), tuple(rows), caption=caption)]


def _process_differences(group: Group) -> list[Block]:
    """Settings that differ between the processes of a case."""
    found = between_processes(group)
    if not found:
        several = any(row.summary.processes > 1 for row in group.measured)
        return [Prose(("All processes of a case reported the same settings.",))] if several else []
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (case_words(entry.row.case), entry.setting, ", ".join(_show(value) for value in entry.values))
        for entry in found
    )
    caption = "Settings that differ between the processes of a case; its figures mix them."
    return [Table(("Case", "Setting", "Values, process by process"), rows, caption=caption)]


def _settings_table(framework: str, rows: Sequence[Row]) -> Table:
    """One column per distinct set of settings of a recipe; cells that differ within a row are marked."""
    columns: list[tuple[str, list[str], dict[str, str]]] = []
    for row in sorted(rows, key=lambda row: recipe_order(row.case.recipe)):
        shown, network = _shown(row.process), words.name(row.case.model)
        same = next((c for c in columns if c[0] == row.recipe and c[2] == shown), None)
        if same:
            same[1].append(network)
        else:
            columns.append((row.recipe, [network], shown))
    names = sorted({name for _, _, settings in columns for name in settings})
    recipes = [recipe for recipe, _, _ in columns]
    titles = tuple(
        recipe if recipes.count(recipe) == 1 else f"{recipe}, {fmt.listing(list(dict.fromkeys(networks)))}"
        for recipe, networks, _ in columns
    )
    body = tuple((name, *_setting_cells(name, [settings for _, _, settings in columns])) for name in names)
    caption = f"{words.name(framework)}, as reported after the run. Marked (◆): differs between columns."
    return Table(("Setting", *titles), body, caption=caption)


def _shown(process: Process) -> dict[str, str]:
    """The display text of each setting, with the reason for a null one."""
    return {
        name: f"none: {process.absent[name]}" if value is None and name in process.absent else _show(value)
        for name, value in process.settings.items()
    }


def _setting_cells(name: str, columns: Sequence[dict[str, str]]) -> tuple[Cell, ...]:
    shown = [settings.get(name, fmt.NONE) for settings in columns]
    if len(set(shown)) == 1:
        return tuple(shown)
    return tuple(Marked(text, "differs between columns") for text in shown)


def _substitutions(group: Group) -> list[Block]:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (case_words(row.case), s.wanted, s.ran, s.why) for row in group.measured for s in row.summary.substitutions
    )
    if not rows:
        return [Prose(("No substitutions: every case ran with the settings that its recipe and precision request.",))]
    caption = "Substitutions: requested settings that were unavailable on this machine."
    return [Table(("Case", "Requested", "Ran instead", "Reason"), rows, caption=caption)]


def _run(run: LoadedRun) -> Section:
    header = run.header
    measured, total = sum(row.ok for row in run.rows), len(run.rows) + len(run.missing)
    blocks: list[Block] = [
        Facts((
            ("Run", header.run_id),
            ("Taken", words.moment(header.created_utc)),
            ("Preset", header.preset or "none"),
            ("Cases", f"{fmt.grouped(measured)} ok of {fmt.grouped(total)}"),
            ("Clock", _clocks(run)),
            ("Run file", Link(run.name, quote(os.fsencode(run_file(run))))),
            ("SHA-256", run.digest),
            ("Format", str(run.format_version)),
            ("xibench", header.xibench),
            ("Sampling", _sampling(header.sampling)),
            ("Images", f"{header.images.source}: {fmt.listing(header.images.files)}"),
            ("Preparation", header.images.preparation),
            ("SHA-256 of the images", header.images.digest),
        )),
    ]
    if run.cut_line:
        blocks.append(Prose(("The last line of the run file is truncated and was ignored.",), "note"))
    blocks += [
        Prose(("To repeat this run on the same machine with the same versions:",)),
        Prose((header.command,), "code"),
        *_again(run),
        _environment(header.environment),
        *_absent(header.environment),
        _versions(run),
    ]
    return Section(f"run-{run.anchor}", f"Run {header.run_id}", tuple(blocks))


def _again(run: LoadedRun) -> list[Block]:
    """The command that measures a case of a run once more, such as its first one with a result."""
    case = next((row.case for row in run.rows if row.ok), None)
    if case is None:
        return []
    options = f"-f {case.framework} -m {case.model} --recipe {shell_word(case.recipe)} --batch {case.batch}"
    return [
        Prose(("To repeat some of its cases and compare them with the downloaded run file, name them by options:",)),
        Prose((f"xibench run --again {shell_word(Path(run_file(run)).name)} {options}",), "code"),
    ]


def _sampling(sampling: SamplingConfig) -> str:
    """The sampling configuration as a sentence, without the parts that do not apply."""
    warmup = (
        f"{sampling.warmup_steps} warm-up steps after the first"
        if sampling.max_warmup_steps == sampling.warmup_steps else
        f"{sampling.warmup_steps} to {sampling.max_warmup_steps} warm-up steps after the first, until they show no "
        f"trend or {sampling.warmup_budget_s:g} s have passed"
    )
    width = "" if sampling.half_width is None else (
        f"; sampling stops once half the 95 % interval of the median is below {100 * sampling.half_width:g} % of it"
    )
    memory = "" if sampling.memory_limit_bytes is None else f" or above {fmt.gibibytes(sampling.memory_limit_bytes)}"
    sweep = "; batches grow until memory runs out" if sampling.sweep else ""
    return (
        f"{fmt.plural(sampling.processes, 'process')} per case in a seeded random order, and up to "
        f"{fmt.plural(sampling.repeats, 'repetition')} of disturbed ones; {warmup}; {sampling.min_steps} to "
        f"{sampling.max_steps} timed steps, none starts after {sampling.budget_s:g} s once the minimum is done{width}; "
        f"a worker is stopped after {sampling.time_limit_s:g} s{memory}{sweep}"
    )


def _clocks(run: LoadedRun) -> str:
    """The clocks that timed the steps, and the overhead of timing: the maximum over all processes."""
    clocks = [p.clock for row in run.rows for p in row.record.processes]
    if not clocks:
        return fmt.NONE
    resolutions = [c.resolution_s for c in clocks if c.resolution_s is not None]
    reads = [c.read_s for c in clocks if c.read_s is not None]
    loops = [c.loop_overhead_s for c in clocks if c.loop_overhead_s is not None]
    parts = [fmt.listing(sorted({c.name for c in clocks}))]
    parts += [f"resolution {_nanoseconds(max(resolutions))}"] if resolutions else []
    parts += [f"reading it takes at most {_nanoseconds(max(reads))}"] if reads else ["reading time not measured"]
    parts += [f"loop overhead at most {_nanoseconds(max(loops))} per step"] if loops else []
    return "; ".join(parts)


def _nanoseconds(value: float) -> str:
    return f"{fmt.number(value * 1e9)} ns" if value < 1e-6 else f"{fmt.number(value * 1e6)} µs"


def _limits(e: Environment) -> list[tuple[Cell, ...]]:
    """Limits and variables under which the run started; empty for older formats, which did not record them."""
    if e.variables is None:
        return []
    quota = None if e.cpu_quota_cores is None else f"{fmt.number(e.cpu_quota_cores)} cores"
    memory = None if e.memory_limit_bytes is None else f"{fmt.gibibytes(e.memory_limit_bytes)} of memory"
    return [
        ("Cores allowed", e.cpus_allowed or fmt.NONE),
        ("Control group limits", ", ".join(filter(None, (quota, memory))) or "none"),
        ("Environment variables", " ".join(f"{name}={value}" for name, value in e.variables.items()) or "none set"),
    ]


def _environment(e: Environment) -> Table:
    dirty = {True: ", with uncommitted changes", False: "", None: ""}[e.git_dirty]
    rows: list[tuple[Cell, ...]] = [
        ("Processor", e.processor),
        ("Cores", f"{_or_unknown(e.cores_physical)} physical, {e.cores_logical} logical, {e.cores_usable} usable"),
        ("Extensions", ", ".join(e.cpu_flags) or fmt.NONE),
        ("Memory", fmt.gibibytes(e.memory_bytes)),
        ("Last-level cache", fmt.or_none(e.cache_bytes, fmt.mebibytes)),
        ("Operating system", f"{e.os}, {e.kernel}"),
        ("Python", e.python),
        ("xibench commit", f"{e.git_commit}{dirty}" if e.git_commit else "not run from a checkout"),
        *_limits(e),
    ]
    rows += [
        ("GPU", f"{gpu.name}, {fmt.gibibytes(gpu.memory_bytes)}, driver {gpu.driver}"
         + (f", power limit {gpu.power_limit_watts:.0f} W" if gpu.power_limit_watts is not None else ""))
        for gpu in e.gpus
    ] or [("GPU", f"none: {e.absent['gpus']}" if "gpus" in e.absent else "none")]
    return Table(("Environment", "Value"), tuple(rows))


def _absent(e: Environment) -> list[Block]:
    rows: tuple[tuple[Cell, ...], ...] = tuple(sorted(e.absent.items()))
    return [Table(("Not recorded", "Reason"), rows)] if rows else []


def _versions(run: LoadedRun) -> Table:
    e = run.header.environment
    workers: dict[str, set[str]] = {}
    for row in run.rows:
        for process in row.record.processes:
            for distribution, version in process.versions.items():
                workers.setdefault(distribution, set()).add(version)
    names = sorted({*e.packages, *workers}, key=str.lower)
    rows = tuple(
        (name, e.packages.get(name) or ("not installed" if name in e.packages else fmt.NONE),
         ", ".join(sorted(workers.get(name, ()))) or fmt.NONE)
        for name in names
    )
    interpreters = "; ".join(f"{words.name(f)}: {where}" for f, where in sorted(e.interpreters.items()))
    caption = f"Worker interpreters: {interpreters}." if interpreters else ""
    return Table(("Distribution", "Parent", "Workers"), rows, caption=caption)


def _show(value: Setting) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _or_unknown(value: int | None) -> str:
    return "unknown" if value is None else str(value)
