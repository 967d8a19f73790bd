"""The README's table of claims, generated from the answers: `python -m benches.claims.readme CLAIMS... README.md`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from xibench.record.documents import embed
from xibench.record.format import percent
from xibench.record.schema import Environment

NAME: Final = "claims"
ANSWERS: Final = {"met": "met", "not met": "**not met**", "not shown": "*not shown*"}
PACKAGES: Final = ("torch", "tensorflow", "jax", "numpy")
Figures = Mapping[str, Any]


def load(*paths: Path) -> dict[str, Figures]:
    """Load the answers in claims.jsonl files, by claim; the latest one if a claim has several."""
    lines = [msgspec.json.decode(line) for path in paths for line in path.read_bytes().splitlines()]
    return {line["claim"]: line for line in sorted(lines, key=lambda line: (line["claim"], line["created_utc"]))}


def table(answers: Mapping[str, Figures]) -> str:
    """Return the Markdown of the table of claims, of the verdicts of other tools, and of the hardware and versions.

    Args:
        answers: The answers by claim.
    """
    rows = [
        f"| `{name}`: {answer['sentence']} | {FIGURES_TEXT[name](answer['figures'])} | {ANSWERS[answer['answer']]} |"
        for name, answer in answers.items()
    ]
    parts = ["| claim | measured | answer |", "|---|---|---|", *rows]
    if "detection" in answers:
        parts += ["", *_peers(answers["detection"]["figures"])]
    return "\n".join([*parts, "", _conditions(answers)])


def _overhead(figures: Figures) -> str:
    loop, parent = figures["loop_overhead_s"], figures["parent_start_s"]
    return (
        f"loop {loop['median'] * 1e6:.2f} µs a step ({loop['processes']} processes); "
        f"parent {parent['median']:.2f} s [{parent['low']:.2f}, {parent['high']:.2f}] (n = {parent['n']})"
    )


def _scheduling(figures: Figures) -> str:
    opened, shown = figures["open_s"], figures["show_s"]
    return (
        f"next process {figures['last_slot_s']['median'] * 1e3:.2f} ms; "
        f"opening {opened['median']:.2f} s [{opened['low']:.2f}, {opened['high']:.2f}] (n = {opened['n']}); "
        f"`show` {shown['median']:.2f} s [{shown['low']:.2f}, {shown['high']:.2f}] (n = {shown['n']})"
    )


def _noise_floor(figures: Figures) -> str:
    cases = figures["by_case"].values()
    found = [case["detectable_with_20_pairs"] for case in cases]
    pairs = min(case["pairs"] for case in cases)
    return (
        f"{figures['called_different']} of {figures['subjects']} called different; standard deviation between "
        f"processes {percent(figures['median_process_deviation'])}, between pairs "
        f"{percent(figures['median_pair_deviation'])} (median case, {pairs} pairs each); "
        f"20 pairs detect changes of {percent(min(found))} to {percent(max(found))}, depending on the case"
    )


def _detection(figures: Figures) -> str:
    same, planted = figures["identical"], figures["planted"]
    called = round(same["called_share"] * same["comparisons"])
    return (
        f"{called} of {same['comparisons']} identical called different (95 %: at most "
        f"{percent(same['called_share_95'][1])}); {round(planted['slower_share'] * planted['comparisons'])} of "
        f"{planted['comparisons']} slowdowns detected (95 %: at least {percent(planted['slower_share_95'][0])}); "
        f"{figures['wall_s']['mean']:.0f} s and {figures['pairs']['mean']:.1f} pairs a comparison, on average; "
        f"of `{figures['case']}`"
    )


def _history(figures: Figures) -> str:
    worst = figures["worst"]
    return (
        f"simulated, worst of 20, 50 and 200 nights ({figures['series_per_machine']} series each): "
        f"{100 * worst['alarms']:.1f} % called changed; 5 % at 1 % noise found in {100 * worst['step_5_at_1']:.1f} %, "
        f"8 % at 3 % in {100 * worst['step_8_at_3']:.1f} %; noise that looks like changes confirmed by a simulated "
        f"`ab` in {100 * worst['confirmed']:.1f} %; a drift of 10 % reported in {100 * worst['drift_10']:.1f} %"
    )


def _speed(figures: Figures) -> str:
    default, best = figures["against_default"], figures["against_best"]
    return (
        f"batch 8, fp32, against the fastest third-party implementation at its default: "
        f"{_times(default['geometric_mean'])} on average (geometric mean), "
        f"{_times(default['min'])} minimum; against any of its settings: {_over_all(best)}"
        f"{_missing(figures)}; attained fraction of the "
        f"roofline: {percent(figures['attained']['xception'])} Xception, "
        f"{percent(figures['attained']['inception_v3'])} Inception V3"
    )


def _latency(figures: Figures) -> str:
    best = _over_all(figures["against_best"])
    return f"batch 1, fp32, against any setting of any third-party implementation: {best}{_missing(figures)}"


def _recipes(figures: Figures) -> str:
    return (
        f"of {figures['settings']} pairs of setting and network, {figures['holding']} cost no speed, "
        f"{figures['losing']} cost some, {figures['too_wide']} have an interval too wide to tell, "
        f"{figures['unmeasured']} were not measured"
    )


def _speed_gpu(figures: Figures) -> str:
    return (
        "batch 1 to 256, fp32 and bf16, against the fastest third-party implementation at its default: "
        f"{_times(figures['against_default']['geometric_mean'])} on average; against any of its settings: "
        f"{_over_all(figures['against_best'])}{_missing(figures)}"
    )


def _missing(figures: Figures) -> str:
    """Name the implementations without a figure, over which the ratios therefore say nothing."""
    missing = figures["not_measured"]
    return f" ({', '.join(missing)} not measured)" if missing else ""


def _over_all(best: Figures) -> str:
    return f"{_times(best['geometric_mean'])} on average, {_times(best['min'])} minimum"


def _times(ratio: float | None) -> str:
    return "not measured" if ratio is None else f"x {ratio:.2f}"


FIGURES_TEXT: Final = {
    "overhead": _overhead, "scheduling": _scheduling, "noise_floor": _noise_floor, "detection": _detection,
    "history": _history, "speed": _speed, "latency": _latency, "recipes": _recipes, "speed_gpu": _speed_gpu,
}  # fmt: skip


def _peers(figures: Figures) -> list[str]:
    ours = {
        "identical": {"called": figures["identical"]["called_share"]},
        "planted": {"slower": figures["planted"]["slower_share"]},
    }
    rows: dict[str, Figures] = {"`xibench ab`": ours, **figures["peers_on_the_same_samples"]}
    slowdown = percent(figures["slowdown"])
    lines = [
        f"| rule, on the same samples | identical called different | {slowdown} slowdown detected |", "|---|--:|--:|"
    ]
    for name, found in rows.items():
        called = found["identical"].get("called")
        if called is None:
            called = found["identical"]["slower"] + found["identical"]["faster"]
        lines.append(f"| {name} | {percent(called)} | {percent(found['planted']['slower'])} |")
    return lines


def _conditions(answers: Mapping[str, Figures]) -> str:
    days = sorted({answer["created_utc"][:10] for answer in answers.values()})
    claims_on: dict[str, list[str]] = {}
    for name, answer in answers.items():
        claims_on.setdefault(measured_on(answer["environment"]), []).append(name)
    on = [where if len(claims_on) == 1 else f"{', '.join(names)}: {where}" for where, names in claims_on.items()]
    return (
        f"{'; '.join(on)}; {' to '.join(dict.fromkeys((days[0], days[-1])))}. "
        "The program behind each row is in `benches/claims/`."
    )


def measured_on(machine: Figures) -> str:
    """Describe processor, cores, GPUs and versions of an environment in one line."""
    processor = msgspec.convert(machine, Environment).processor
    packages = "; ".join(f"{name} {v}" for name, v in machine["packages"].items() if v and name in PACKAGES)
    gpus = ", ".join(gpu["name"] for gpu in machine["gpus"]) or "no GPU"
    return f"{processor}, {machine['cores_usable']} cores, {gpus}; {machine['python']}; {packages}"


def main(arguments: Sequence[str]) -> None:
    """Write the table between the markers of a document.

    Args:
        arguments: Paths of claims.jsonl files, and last that of the document.
    """
    *sources, target = map(Path, arguments)
    document = target.read_text(encoding="utf-8")
    target.write_text(embed(document, table(load(*sources)), NAME), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
