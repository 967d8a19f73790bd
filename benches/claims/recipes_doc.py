"""The generated part of docs/recipes.md, from the answers to the claims:

    python -m benches.claims.recipes_doc results/reference/*/claims.jsonl docs/recipes.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benches.claims.readme import load, measured_on
from benches.claims.recipes import without
from benches.claims.runs import MODELS
from frameworks.api import FRAMEWORKS, THIRD_PARTY
from xibench.record.documents import embed
from xibench.record.format import NONE

NAME: Final = "recipes"
TITLES: Final = {name: framework.label for name, framework in FRAMEWORKS.items()}
NETWORKS: Final = {"xception": "Xception", "inception_v3": "Inception V3"}
UNMEASURED: Final = "not measured"
Figures = Mapping[str, Any]


def text(answers: Mapping[str, Figures]) -> str:
    """Return the generated Markdown: single settings, all together, third-party implementations, and GPUs.

    Args:
        answers: The answers by claim.
    """
    parts = [_settings(framework, answers.get("recipes")) for framework in FRAMEWORKS]
    if "speed" in answers:
        parts.append(_all_settings(answers["speed"]))
        parts.append(_third_party(answers["speed"], "## Third-party implementations, batch 8"))
    if "latency" in answers:
        parts.append(_third_party(answers["latency"], "## Third-party implementations, batch 1"))
    return "\n\n".join([*parts, _on_gpu(answers.get("speed_gpu"))])


def _settings(framework: str, answer: Figures | None) -> str:
    """Return the table of the settings of `tuned` on a CPU, each with its reason and the speedup that it gives."""
    chosen = FRAMEWORKS[framework].recipe("tuned", "cpu").choices
    columns = " | ".join(f"{NETWORKS[model]}" for model in MODELS)
    lines = [
        f"## {TITLES[framework]} on a CPU", "", f"| setting | choice | reason | {columns} |",
        f"|---|---|---|{'--:|' * len(MODELS)}",
    ]  # fmt: skip
    for name in without(framework, "cpu"):
        setting = FRAMEWORKS[framework].choices[name].setting(chosen[name])
        assert setting is not None  # a choice other than the default always has one
        gains = [_gain(answer, f"{framework} {model}", name) for model in MODELS]
        lines.append(f"| {setting[0]} | `{name}={chosen[name]}` | {setting[1]} | {' | '.join(gains)} |")
    return "\n".join([*lines, "", *_conditions("Speedup over `tuned` without that one setting", answer)])


def _gain(answer: Figures | None, cell: str, name: str) -> str:
    found = answer and answer["figures"]["gains"][cell]["settings"].get(name)
    return _ratio(found) if found else UNMEASURED


def _all_settings(answer: Figures) -> str:
    """Return the table of `default` and `tuned`: throughput, start time, and speedup of bf16."""
    columns = (
        "framework", "network", "`default`, images/s", "`tuned`, images/s", "speedup",
        "first result of `default`, s", "of `tuned`, s", "breaks even after, images", "attained",
        "`tuned`, speedup of bf16 over fp32",
    )  # fmt: skip
    lines = ["## All settings together", "", f"| {' | '.join(columns)} |", f"|---|---|{'--:|' * (len(columns) - 2)}"]
    for framework in FRAMEWORKS:
        for model in MODELS:
            cell = answer["figures"]["cells"][f"{framework} {model}"]
            default, ours = cell["ours_plain"], cell["ours"]
            after = cell["pays_after_images"]
            lines.append(
                f"| {TITLES[framework]} | {NETWORKS[model]} | {_rate(default)} | {_rate(ours)} "
                f"| {_ratio(cell['against_plain'])} | {_figure(default['start_s'])} | {_figure(ours['start_s'])} "
                f"| {NONE if after is None else f'{after:.0f}'} | {_percent(ours['attained'])} "
                f"| {_ratio(cell['bf16_over_fp32'])} |"
            )
    return "\n".join([
        *lines, "",
        *_conditions(
            "Batch 8, fp32. First result: ahead-of-time compilation, if any, plus the first step. Breaks even after: "
            "the number of images after which faster steps have made up for a longer start. Attained: the minimum step "
            "time given by the run's measured roofline, divided by the median step time",
            answer,
        ),
        *_substitutions(answer),
    ])  # fmt: skip


def _substitutions(answer: Figures) -> Iterator[str]:
    """Yield a sentence about what ran in bf16 where a requested setting was unavailable."""
    cells = answer["figures"]["cells"]
    found = {f"{TITLES[name.split()[0]]} ran {s}" for name, c in cells.items() for s in c["ours_bf16"]["substitutions"]}
    if found:
        yield f"In bf16 {'; '.join(sorted(found))}."


def _third_party(answer: Figures, title: str) -> str:
    """Return the table of the speedup of `tuned` over each recipe of each third-party implementation."""
    lines = [
        title, "", "| implementation | recipe | " + " | ".join(
            f"{NETWORKS[m]}, images/s | speedup of `tuned`" for m in MODELS
        ) + " |", f"|---|---|{'--:|--:|' * len(MODELS)}",
    ]  # fmt: skip
    reasons = {}
    for name, implementation in THIRD_PARTY.items():
        for recipe in implementation.distinct_recipes:
            cells = []
            for model in MODELS:
                cell = answer["figures"]["cells"][f"{implementation.backend} {model}"]
                theirs = cell["contenders"][f"{name} {recipe}"]
                cells += [_rate(theirs), _ratio(cell["against"][f"{name} {recipe}"])]
                if theirs["status"] != "ok":
                    reasons[name] = f"{name}: {theirs['status']}, {theirs['reason']}"
            lines.append(f"| {implementation.what} | {recipe} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_conditions("fp32", answer), *(f"{why}." for why in reasons.values())])


def _on_gpu(answer: Figures | None) -> str:
    """Return the settings of `tuned` on a GPU, and its figures there if they have been measured."""
    state = "Measured below" if answer else "Not yet measured; `python -m benches.claims speed_gpu` measures it"
    lines = ["## On a GPU", "", f"{state}. What `tuned` chooses there:", ""]
    for framework in FRAMEWORKS:
        settings = "; ".join(f"{what} ({why})" for what, why in FRAMEWORKS[framework].recipe("tuned", "cuda").settings)
        lines.append(f"- {TITLES[framework]}: {settings}.")
    return "\n".join([*lines, *(_gpu_table(answer) if answer else ())])


def _gpu_table(answer: Figures) -> Iterator[str]:
    """Yield the table of speedups over the fastest third-party implementation, by its default and by any recipe."""
    yield ""
    yield (
        "| framework | network | precision | batch | `default`, images/s | `tuned`, images/s | attained "
        "| speedup over the fastest default | over the fastest recipe |"
    )
    yield f"|---|---|---|{'--:|' * 6}"
    for kind, cell in answer["figures"]["cells"].items():
        framework, model, precision, batch = kind.split(" ")
        yield (
            f"| {TITLES[framework]} | {NETWORKS[model]} | {precision} | {batch} | {_rate(cell['ours_plain'])} "
            f"| {_rate(cell['ours'])} | {_percent(cell['ours']['attained'])} | {_times(cell['against_default'])} "
            f"| {_times(cell['against_best'])} |"
        )
    yield ""
    yield from _conditions("Speedup over keras.applications, torchvision and timm", answer)


def _times(ratio: float | None) -> str:
    return NONE if ratio is None else f"{ratio:.2f}"


def _conditions(what: str, answer: Figures | None) -> list[str]:
    if answer is None:
        return [f"{what}: {UNMEASURED} yet; `python -m benches.claims recipes` measures it."]
    counts = sorted(set(_counts(answer["figures"])))
    n = f"{_span(counts)} processes a case, interleaved" if counts else UNMEASURED
    where = measured_on(answer["environment"])
    return [f"{what}. [95 % interval]; n = {n}. {where}; {answer['created_utc'][:10]}."]


def _counts(figures: Any) -> Iterator[int]:
    """Yield the number of processes behind each ratio."""
    if isinstance(figures, Mapping):
        if "ratio" in figures and "n" in figures:
            yield figures["n"]
        for part in figures.values():
            yield from _counts(part)


def _span(counts: Sequence[int]) -> str:
    return str(counts[0]) if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"


def _rate(figures: Figures) -> str:
    rate = figures["images_per_s"]
    return f"{_figure(rate['median'])} [{_figure(rate['low'])}, {_figure(rate['high'])}]" if rate else figures["status"]


def _ratio(found: Mapping[str, float | None] | None) -> str:
    if not found or found["ratio"] is None:
        return NONE
    return f"{found['ratio']:.2f} [{_two(found['low'])}, {_two(found['high'])}]"


def _two(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _figure(value: float | None) -> str:
    """Format a number with three significant digits, or with all its integer digits if there are more."""
    if value is None:
        return NONE
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{share:.0%}".replace("%", " %")


def main(arguments: Sequence[str]) -> None:
    """Write the generated part between the markers of a document.

    Args:
        arguments: Paths of claims.jsonl files, and last that of the document.
    """
    *sources, target = map(Path, arguments)
    document = target.read_text(encoding="utf-8")
    target.write_text(embed(document, text(load(*sources)), NAME), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
