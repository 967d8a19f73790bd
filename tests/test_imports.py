"""Import rules. Imports are read from the source, including those inside functions and those for types only."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("xibench", "frameworks", "dashboards", "benches", "tests")
FRAMEWORK_PACKAGES = ("torch", "tensorflow", "keras", "jax", "jaxlib", "flax", "optax")

ERRORS = ("xibench.errors", "frameworks.errors")
NAMES = (  # modules of `frameworks` with names and data only, which import no framework
    "frameworks*", "frameworks.api", "frameworks.architectures", "frameworks.cost",
    "frameworks.manifest", "frameworks.process", "frameworks.recipes", "frameworks.task",
)
FRAMEWORK_COMMON = (  # modules of `frameworks` that are shared by all frameworks and import none
    *NAMES, "frameworks.errors", "frameworks.blueprint",
    "frameworks.weights", "frameworks.rewrites", "frameworks.published", "frameworks.paper",
)

WORKER = (
    "xibench.workers", "xibench.scenarios", "xibench.record", "xibench.measure", "xibench.run.plan", "xibench.run.gate",
    "xibench.plugins",
    *FRAMEWORK_COMMON, *ERRORS,
)

# importer -> modules of this repository that it may import. A name covers the module and everything below it; a name
# with * covers only the module itself ("xibench*" is the package's version, not its submodules). The most specific
# matching name determines the rule of an importer.
EDGES: dict[str, tuple[str, ...]] = {
    "frameworks*": (
        "frameworks.api", "frameworks.pytorch.framework", "frameworks.tensorflow.framework", "frameworks.jax.framework",
        "frameworks.third_party.framework", "frameworks.reference.framework",
    ),
    "frameworks": FRAMEWORK_COMMON,
    "frameworks.pytorch": (*FRAMEWORK_COMMON, "frameworks.pytorch"),
    "frameworks.tensorflow": (*FRAMEWORK_COMMON, "frameworks.tensorflow"),
    "frameworks.jax": (*FRAMEWORK_COMMON, "frameworks.jax"),
    "frameworks.reference": (*FRAMEWORK_COMMON, "frameworks.reference"),
    "frameworks.third_party*": (),
    "frameworks.third_party.framework": (
        *FRAMEWORK_COMMON, "frameworks.third_party", "frameworks.pytorch.framework", "frameworks.tensorflow.framework",
        "frameworks.jax.framework",
    ),
    "frameworks.third_party": (*FRAMEWORK_COMMON, "frameworks.third_party"),
    "frameworks.third_party.keras_pytorch": (*FRAMEWORK_COMMON, "frameworks.third_party", "frameworks.pytorch"),
    "frameworks.third_party.keras_tensorflow": (*FRAMEWORK_COMMON, "frameworks.third_party", "frameworks.tensorflow"),
    "frameworks.third_party.keras_jax": (*FRAMEWORK_COMMON, "frameworks.third_party", "frameworks.jax"),
    "frameworks.third_party.torch_modules": (*FRAMEWORK_COMMON, "frameworks.third_party", "frameworks.pytorch"),
    "frameworks.third_party.torchvision": (*FRAMEWORK_COMMON, "frameworks.third_party", "frameworks.pytorch"),
    "frameworks.third_party.timm": (*FRAMEWORK_COMMON, "frameworks.third_party", "frameworks.pytorch"),
    "xibench": ("xibench*",),
    "xibench.errors": (),
    "xibench.plugins": ("xibench.errors",),
    "xibench.measure": ("xibench.measure",),
    "xibench.record": ("xibench*", "xibench.record", "xibench.measure", *ERRORS),
    "xibench.workers": WORKER,
    "xibench.scenarios": (
        "xibench.scenarios", "xibench.record.schema", "xibench.measure", "frameworks.api", "frameworks.cost",
        "frameworks.manifest", "frameworks.task", *ERRORS,
    ),
    "xibench.run": (
        "xibench*", "xibench.run", "xibench.workers", "xibench.scenarios", "xibench.record", "xibench.measure.nvml",
        "xibench.measure.memory", "frameworks.weights", *NAMES, *ERRORS,
    ),
    "xibench.run.execute": ("xibench*", "xibench.run", "xibench.workers", "xibench.record", *NAMES, *ERRORS),
    "xibench.run.monitor": ("xibench.run", "xibench.workers", "xibench.record", "xibench.measure"),
    "xibench.ab": (
        "xibench*", "xibench.ab", "xibench.run", "xibench.workers", "xibench.record", "xibench.measure.comparing",
        "xibench.measure.machine", "xibench.measure.phase", *NAMES, *ERRORS,
    ),
    "xibench.analysis": (
        "xibench*", "xibench.analysis", "xibench.record", "xibench.measure", "xibench.run", "xibench.workers",
        "xibench.ab", "xibench.scenarios", "frameworks.third_party.keras_layers", *FRAMEWORK_COMMON, *ERRORS,
    ),
    "xibench.history": ("xibench*", "xibench.history", "xibench.record", "xibench.scenarios", *ERRORS),
    "xibench.cli": (
        "xibench*", "xibench.cli", "xibench.plugins", "xibench.analysis", "xibench.record", "xibench.measure",
        "xibench.run", "xibench.workers", "xibench.scenarios", "xibench.ab", "xibench.history", "dashboards.build",
        "dashboards.site",
        "frameworks.weights", *NAMES, *ERRORS,
    ),
    "xibench.__main__": ("xibench.cli",),
    "dashboards": (
        "xibench*", "dashboards", "xibench.record", "xibench.scenarios", "xibench.analysis", "xibench.history",
        "frameworks.api",
        *ERRORS,
    ),
    "benches": ("benches", "xibench.measure", *FRAMEWORK_COMMON),
    "benches.asv_suite": ("benches.asv_suite", "xibench.measure", "xibench.record", *FRAMEWORK_COMMON),
    "benches.claims": (
        "xibench*", "benches.claims", "xibench.measure", "xibench.record", "xibench.run", "xibench.workers",
        "xibench.ab", "xibench.analysis", "xibench.history", *FRAMEWORK_COMMON, *ERRORS,
    ),
    "benches.gpu_reference": (
        "benches.claims", "xibench.record", "xibench.run", "xibench.workers", "xibench.analysis", *FRAMEWORK_COMMON,
        *ERRORS,
    ),
}

# Jobs of worker processes. Importing one of them would load a framework into the importing process.
STARTED_ONLY = (
    "xibench.workers.__main__", "xibench.workers.case", "xibench.workers.ceilings", "xibench.workers.pair_side",
)

# framework package -> modules that may import it. No other module may, not even inside a function.
FRAMEWORK_IMPORTERS: dict[str, tuple[str, ...]] = {
    "torch": (
        "frameworks.pytorch", "frameworks.third_party.keras_pytorch", "frameworks.third_party.torch_modules",
        "frameworks.third_party.torchvision", "frameworks.third_party.timm",
    ),
    "tensorflow": ("frameworks.tensorflow", "frameworks.third_party.keras_tensorflow"),
    "keras": ("xibench.analysis.keras_outputs", "frameworks.third_party.keras_model"),
    "jax": ("frameworks.jax", "frameworks.third_party.keras_jax"),
    "jaxlib": ("frameworks.jax",),
    "flax": ("frameworks.jax",),
    "optax": (),
}


def module_name(path: Path) -> str:
    """Return the name of a module: xibench/run/plan.py is xibench.run.plan, xibench/__init__.py is xibench."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources() -> list[Path]:
    return sorted(path for package in OURS[:-1] for path in (ROOT / package).rglob("*.py"))


def imports(source: str, module: str, is_package: bool = False) -> Iterator[str]:
    """Yield all modules that a source imports; `from a import b` is a.b if that is a module, otherwise a."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                base = ".".join(package[: len(package) - node.level + 1] + ([base] if base else []))
            yield from (f"{base}.{alias.name}" if is_module(f"{base}.{alias.name}") else base for alias in node.names)


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def within(name: str, place: str) -> bool:
    """Return whether a name is `place` or below it; `place*` matches only `place` itself."""
    if place.endswith("*"):
        return name == place[:-1]
    return name == place or name.startswith(f"{place}.")


def allowed(importer: str) -> tuple[str, ...]:
    return EDGES[max((place for place in EDGES if within(importer, place)), key=len)]


def forbidden(importer: str, imported: str) -> bool:
    top = imported.split(".")[0]
    if top in FRAMEWORK_PACKAGES:
        return not any(within(importer, place) for place in FRAMEWORK_IMPORTERS[top])
    if imported in STARTED_ONLY:
        return True
    return top in OURS and not any(within(imported, place) for place in allowed(importer))


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_a_module_imports_only_what_the_table_allows(path: Path) -> None:
    importer = module_name(path)
    found = imports(path.read_text(encoding="utf-8"), importer, path.name == "__init__.py")
    broken = sorted({imported for imported in found if forbidden(importer, imported)})
    assert not broken, f"{importer} imports {', '.join(broken)}; it may import {', '.join(allowed(importer))}"


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("xibench.run.execute", "import torch"),
        ("xibench.run.execute", "def f():\n    from frameworks.pytorch import build"),
        ("xibench.run.execute", "from xibench.workers import case"),
        ("xibench.workers.session", "from . import case"),
        ("xibench.run.execute", "from xibench.workers import ceilings"),
        ("xibench.run.execute", "from xibench.measure import statistics"),
        ("xibench.measure.loop", "from xibench.record import schema"),
        ("xibench.record.schema", "from frameworks.api import FRAMEWORKS"),
        ("xibench.cli.commands.run", "if TYPE_CHECKING:\n    import frameworks.jax"),
        ("xibench.cli.commands.run", "from dashboards.pages import throughput"),
        ("frameworks.jax.layers", "from frameworks.pytorch import layers"),
        ("frameworks.jax.layers", "import torch"),
        ("frameworks.cost", "import xibench"),
        ("frameworks.api", "from frameworks import jax"),
        ("frameworks.third_party.framework", "from frameworks.pytorch import program"),
        ("dashboards.build", "from xibench.run import plan"),
        ("benches.asv_suite.cases", "from xibench.run import execute"),
    ],
)
def test_the_table_forbids_known_violations(importer: str, source: str) -> None:
    assert any(forbidden(importer, imported) for imported in imports(source, importer))


def test_every_package_is_in_the_table() -> None:
    places = {module_name(path) for path in sources() if path.name == "__init__.py"}
    missing = [name for name in places if not any(within(name, place) for place in EDGES)]
    assert not missing


def test_importing_the_packages_imports_no_framework() -> None:
    code = "import sys, xibench, frameworks, frameworks.architectures, frameworks.cost, frameworks.process\n"
    code += f"print(*sorted(set(sys.modules) & {set(FRAMEWORK_PACKAGES)}))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_the_parent_of_a_run_imports_no_framework_and_nothing_heavy() -> None:
    code = "import sys, xibench.run.execute, xibench.cli.app\nprint(*sorted({m.split('.')[0] for m in sys.modules}))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {*FRAMEWORK_PACKAGES, "pandas", "plotly", "sklearn", "scipy", "pyarrow", "asv"}
    assert not heavy & set(run.stdout.split())
