"""The tables of `list`, `cost`, `verify` and `doctor`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from frameworks.architectures import MODELS, OPERATORS
from frameworks.architectures.fields import OF_THE_CASE
from xibench.analysis.costs import block_costs
from xibench.cli.render.terminal import Table, table_of
from xibench.record.format import NONE, count, error, figures, percent, seconds, size

if TYPE_CHECKING:
    from frameworks.cost import LayerCost, NetworkCost
    from xibench.analysis.costs import BlockRoof, Roofline
    from xibench.analysis.counters import CounterCheck
    from xibench.analysis.doctor import DoctorReport, FrameworkState
    from xibench.analysis.verify import EqualityReport


BROKEN: Final = ("model", "variant", "left", "right", "precision", "what", "error", "tolerance")
LAYER_FIGURES: Final = ("output", "parameters", "MACs", "element-wise")
AS_WRITTEN: Final = "bytes moved\nas written"
FUSED: Final = ("bytes moved\nfused", "attainable\nfused")
"""Headings of bytes, and of the time that is computed from them."""
UNTIMED: Final = (NONE, NONE, "training only")


def cost_table(costs: NetworkCost) -> Table:
    """Build the table of a network's total costs, exact and rounded."""
    rows = [
        ("parameters, trainable", costs.parameters_trainable, count(costs.parameters_trainable)),
        ("parameters, total", costs.parameters_total, count(costs.parameters_total)),
        ("multiply-adds", costs.macs, count(costs.macs, "MAC")),
        ("element-wise operations", costs.elementwise, count(costs.elementwise)),
        ("activations", costs.activations, count(costs.activations)),
        ("bytes moved, element-wise layers fused", costs.bytes_fused, size(costs.bytes_fused)),
        ("bytes moved, every layer as written", costs.bytes_moved, size(costs.bytes_moved)),
    ]
    cells = [(name, f"{exact:,}", about) for name, exact, about in rows]
    beside = "multiply-adds of the auxiliary classifier"
    if costs.auxiliary_macs is None:
        cells.append((f"{beside}: training needs a larger image", NONE, NONE))
    elif costs.auxiliary_macs:
        cells.append((beside, f"{costs.auxiliary_macs:,}", count(costs.auxiliary_macs, "MAC")))
    title = f"{costs.model}/{costs.variant}: {costs.resolution} px, batch {costs.batch}, {costs.precision}"
    return table_of(title, ("", "exactly", "about"), cells, right=("exactly", "about"))


def layer_table(costs: NetworkCost, roof: Roofline | None = None, block: str | None = None) -> Table:
    """Build the table of layers in order of execution; with a roofline, also the minimum time of each and its bound.

    Bytes are those that the times beside them are computed from, or without times those of the network as written.

    Args:
        costs: Of the network.
        roof: Its minimum times.
        block: The block whose layers are listed; None: all.
    """
    layers = (*costs.layers, *(costs.auxiliary_layers if block else ()))
    rows = {layer.name: _layer_row(layer) for layer in layers if block in (None, layer.name.split(".")[0])}
    title = f"{costs.model}/{costs.variant}: layers{f' of {block}' if block else ''}"
    right = [*LAYER_FIGURES, *([AS_WRITTEN] if roof is None else FUSED)]
    if roof is None:
        return table_of(title, ("layer", "kind", *right), rows.values(), right)
    timed = {
        layer.name: (
            size(layer.bytes_moved), seconds(layer.attainable_s) if layer.attainable_s else NONE, layer.bound
        )
        for layer in roof.layers
    }
    cells = [(*row[:-1], *timed.get(name, UNTIMED)) for name, row in rows.items()]
    return table_of(title, ("layer", "kind", *right, "bound by"), cells, right)


def auxiliary_table(costs: NetworkCost) -> Table:
    """Build the table of the layers of the auxiliary classifier, which only training runs."""
    title = f"{costs.model}/{costs.variant}: auxiliary classifier, in training only"
    right = (*LAYER_FIGURES, AS_WRITTEN)
    return table_of(title, ("layer", "kind", *right), map(_layer_row, costs.auxiliary_layers), right)


def _layer_row(layer: LayerCost) -> tuple[str, ...]:
    return (
        layer.name, layer.kind, " x ".join(map(str, layer.output_shape)), f"{layer.parameters:,}", f"{layer.macs:,}",
        f"{layer.elementwise:,}", size(layer.bytes_moved),
    )  # fmt: skip


def block_table(costs: NetworkCost, roof: Roofline | None = None) -> Table:
    """Build the table of blocks in order of execution, and their sums; with a roofline, also times and bounds."""
    blocks = block_costs(costs)
    title = f"{costs.model}/{costs.variant}: blocks"
    right = ["MACs", "of all MACs", "parameters", "of all parameters", *(FUSED if roof else [AS_WRITTEN])]
    rows = [
        [block.name, f"{block.macs:,}", percent(_part(block.macs, costs.macs)), f"{block.parameters:,}",
         percent(_part(block.parameters, costs.parameters_total)), size(block.bytes_moved)]
        for block in blocks
    ]
    rows.append(["network", f"{costs.macs:,}", percent(1), f"{costs.parameters_total:,}", percent(1),
                 size(costs.bytes_moved)])
    if roof is None:
        return table_of(title, ("block", *right), rows, right)
    right.append("of all time")
    timed = {
        block.name: (size(block.bytes_moved), seconds(block.attainable_s), percent(block.share), _bound(block))
        for block in roof.blocks
    } | {"network": (size(costs.bytes_fused), seconds(roof.attainable_s), percent(1), "")}
    rows = [[*row[:-1], *timed.get(row[0], (NONE, *UNTIMED))] for row in rows]
    return table_of(title, ("block", *right, "bound by"), rows, right)


def block_sentence(costs: NetworkCost, roof: Roofline | None, name: str) -> str:
    """Say what share of a network one block is and, with a roofline, what bounds it."""
    block = next(block for block in block_costs(costs) if block.name == name)
    parameters = f"{percent(_part(block.parameters, costs.parameters_total))} of the parameters"
    if name not in {layer.name.split(".")[0] for layer in costs.layers}:
        return f"{name}: {parameters}, and no work in inference"
    macs, batch = f"{percent(_part(block.macs, costs.macs))} of the MACs", f"at batch {costs.batch}"
    if roof is None:
        return f"{name}: {macs} and {parameters} {batch}; `--run latest` adds its attainable time and what bounds it"
    timed = next(block for block in roof.blocks if block.name == name)
    bound = "no time of its own" if timed.bound == "fused" else f"{timed.bound}-bound"
    if timed.bound_share < 1:
        bound += f" for {percent(timed.bound_share)} of that time"
    return f"{name}: {macs}, {parameters} and {percent(timed.share)} of the attainable time {batch}; {bound}"


def _part(of: int, whole: int) -> float:
    return of / whole if whole else 0.0


def _bound(block: BlockRoof) -> str:
    return block.bound if block.bound_share == 1 else f"{block.bound}, {percent(block.bound_share)} of its time"


def roofline_table(roof: Roofline) -> Table:
    """Build the table of the minimum time of a step on the roofline that a run measured."""
    rows = [
        ("ceiling: matmul", count(roof.peak_flops_per_s, "FLOP/s")),
        ("ceiling: copy", count(roof.bytes_per_s, "B/s")),
        ("attainable, element-wise layers fused", seconds(roof.attainable_s)),
        ("attainable, every layer as written", seconds(roof.as_written_s)),
    ]
    return table_of("Attainable time of a step by the run's ceilings", ("", "about"), rows, right=("about",))


def attained_table(roof: Roofline) -> Table:
    """Build the table of what the run measured of this network, as a whole."""
    rows = [(m.framework, m.recipe, figures(m.step_s * 1e3), percent(m.attained)) for m in roof.measured]
    title = "Measured: the whole network"
    return table_of(title, ("framework", "recipe", "ms/step", "attained"), rows, right=("ms/step", "attained"))


def counter_table(costs: NetworkCost, checks: Sequence[CounterCheck]) -> Table:
    """Build the table that compares the frameworks' own FLOP counters with ours and explains each difference."""
    rows = [
        (check.framework, check.counter, NONE if check.flops is None else f"{check.flops:,.0f}",
         NONE if check.ratio is None else f"{check.ratio:.4f}",
         {True: "yes", False: "NO", None: NONE}[check.agrees], check.problem or check.explanation or "no difference")
        for check in checks
    ]
    columns = ("framework", "counter", "FLOPs", "of ours", "explained", "difference")
    title = f"FLOP counters: ours {2 * costs.macs:,}, 2 per multiply-add"
    return table_of(title, columns, rows, right=("FLOPs", "of ours"))


def inventory_tables(names: Mapping[str, Any]) -> list[Table]:
    """Build the tables of `xibench list`."""
    purposes = names["purposes"]
    versions = names["versions"]
    networks = [(m["name"], purposes["models"][m["name"]], ", ".join(m["variants"])) for m in names["models"]]
    shapes = [(name, *map(str, shape.values())) for name, shape in names["shapes"].items()]
    sizes = ("resolution", "channels", "features")
    return [
        table_of("Networks (-m)", ("model", "is", "variants"), networks),
        table_of("Operators (--operator): single layers of these networks", ("operator", "is"),
                 purposes["operators"].items()),
        table_of("Shapes: the variants of every operator", ("variant", *sizes), shapes, right=sizes),
        table_of("Frameworks (-f)", ("framework", "installed"),
                 [(f, installed(versions[f])) for f in names["frameworks"]]),
        table_of(
            "Reference of `verify` (-f reference measures it)",
            ("reference", "is", "installed"),
            [(name, what, installed(versions[name])) for name, what in purposes["references"].items()],
        ),
        table_of(
            "Third-party implementations (-f keras-jax)",
            ("implementation", "is", "installed"),
            [(name, what, installed(versions[name])) for name, what in purposes["contenders"].items()],
        ),
        table_of("Scenarios (--scenario)", ("scenario", "measures"), purposes["scenarios"].items()),
        table_of("Recipes (--recipe)", ("recipe", "stands for"), purposes["recipes"].items()),
        table_of("Precisions (--precision)", ("precision", "means"), purposes["precisions"].items()),
        table_of("Presets (--preset)", ("preset", "for"), purposes["presets"].items()),
    ]  # fmt: skip


def variant_table(found: Mapping[str, Any]) -> Table:
    """Build the table of a network's variants and what each sets, as options take it."""
    rows = []
    for name, fields in found["variants"].items():
        of_variant = [f"{field}={_written(value)}" for field, value in fields.items() if field not in OF_THE_CASE]
        of_case = [f"--{field} {value}" for field, value in fields.items() if field in OF_THE_CASE]
        rows.append((name, " ".join(["+".join(of_variant), *of_case]) or "the defaults"))
    return table_of(f"Variants of {found['name']}", ("variant", "sets"), rows)


def field_table(found: Mapping[str, Any]) -> Table:
    """Build the table of the fields that a variant of a network can set."""
    fields = found["fields"]
    rows = [(f["name"], f["takes"], _written(f["default"]), f["meaning"], _networks(f["networks"])) for f in fields]
    example = "+".join(f"{f['name']}={_written(f['default'])}" for f in fields[:2])
    title = f"Fields of --variant for {found['name']}, joined by + with each other and with variants: {example}"
    return table_of(title, ("field", "takes", "default", "meaning", "in"), rows)


def _networks(names: Sequence[str]) -> str:
    """Name networks or operators; all of them, or all but one, in fewer words."""
    for kind, known in (("networks", MODELS), ("operators", OPERATORS)):
        others = [name for name in known if name not in names]
        if names[0] in known and len(others) < 2:
            return f"all {kind}{' but ' * len(others)}{''.join(others)}"
    return ", ".join(names)


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def installed(versions: Mapping[str, str | None]) -> str:
    """Format the versions of distributions as `torch 2.13.0`, or `torch (not installed)`."""
    return ", ".join(f"{name} {version or '(not installed)'}" for name, version in versions.items())


def verify_tables(report: EqualityReport) -> list[Table]:
    """Build the tables of the proof of equality: checks by pair, broken checks, and seeded mistakes by framework."""
    groups: dict[tuple[str, str, str, str, str], list[Any]] = {}
    for check in report.checks:
        key = (check.model, check.variant, check.left, check.right, check.precision)
        groups.setdefault(key, []).append(check)
    rows = []
    for (model, variant, left, right, precision), checks in groups.items():
        worst = max(checks, key=lambda c: c.max_relative_error / c.tolerance)
        state = "ok" if all(c.ok for c in checks) else "BROKEN"
        rows.append((model, variant, left, right, precision, str(len(checks)), error(worst.max_relative_error),
                     f"{worst.what}, {worst.worst}", error(worst.tolerance), state))
    right_columns = ("checks", "worst error", "tolerance")
    columns = ("model", "variant", "left", "right", "precision", "checks", "worst error", "at", "tolerance", "")
    tables = [table_of("Equality: relative error", columns, rows, right_columns)]
    broken = [c for c in report.checks if not c.ok]
    if broken:
        cells = [
            (c.model, c.variant, c.left, c.right, c.precision, f"{c.what}, {c.worst}", error(c.max_relative_error),
             error(c.tolerance))
            for c in broken
        ]
        tables.append(table_of("Broken", BROKEN, cells))
    if report.mistakes:
        tables.append(_mistake_table(report))
    return tables


def _mistake_table(report: EqualityReport) -> Table:
    frameworks = list(dict.fromkeys(m.framework for m in report.mistakes))
    caught: dict[tuple[str, str], dict[str, str]] = {}
    for m in report.mistakes:
        caught.setdefault((m.mistake, m.model), {})[m.framework] = "caught" if m.caught else "MISSED"
    rows = [(*seeded, *(found.get(f, NONE) for f in frameworks)) for seeded, found in caught.items()]
    return table_of("Seeded mistakes: are they caught?", ("mistake", "in", *frameworks), rows)


def doctor_tables(found: DoctorReport, details: bool) -> list[Table]:
    """Build the tables of `xibench doctor`; with details also those of the recipes and of the fields left empty."""
    frameworks = [
        (f.name, installed(f.versions), f.interpreter, ", ".join(f.devices) or NONE, f.problem or "ok")
        for f in found.frameworks
    ]
    machine = [(fact.name, fact.value) for fact in found.facts]
    tables = [
        table_of("Frameworks", ("framework", "versions", "interpreter", "devices", "state"), frameworks),
        *(_recipe_table(framework) for framework in found.frameworks if framework.recipes and details),
        table_of("Machine", ("", ""), machine),
    ]
    if found.findings:
        findings = [(f.what, f.effect, f.cure) for f in found.findings]
        tables.append(table_of("Findings", ("finding", "effect", "remedy"), findings))
    if found.empty and details:
        empty = [(", ".join(group.fields), group.why, group.filled_by) for group in found.empty]
        tables.append(table_of("Fields that stay empty here", ("fields of a record", "reason", "filled by"), empty))
    return tables


def _recipe_table(framework: FrameworkState) -> Table:
    rows = [
        (recipe if i == 0 else "", setting, why)
        for recipe, settings in framework.recipes.items()
        for i, (setting, why) in enumerate(settings)
    ]
    device = "cuda" if "cuda" in framework.devices else "cpu"
    return table_of(f"Recipes: {framework.name} on {device}", ("recipe", "setting", "why"), rows)
