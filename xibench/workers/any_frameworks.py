"""Adapter to the package `frameworks` of any commit, for `xibench ab --base git:REV`.

The current package has `frameworks.api`. Commits from before it have `frameworks.runtime`, and those from before
recipes configured their process have no `frameworks.beginning`. Both sides of a pair use this adapter, and both
configure their process from inside, so that they differ only in the commit. Each commit defines its own recipes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameworks.architectures import network
from frameworks.weights import resolve
from xibench.record.schema import Case, Setting, Substitution


@dataclass(frozen=True, slots=True)
class AnyProgram:
    """The interface of a program of any commit. result: arrays by name, on the host."""

    put: Callable[[NDArray[np.float32]], Any]
    compile: Callable[[Any], bool]
    step: Callable[[Any], Any]
    synchronise: Callable[[Any], None]
    result: Callable[[Any], Mapping[str, NDArray[np.floating[Any]]]]
    settings: Callable[[], dict[str, Setting]]
    device_peak_bytes: Callable[[], int | None]
    substitutions: Callable[[], list[Substitution]] = list  # older commits do not say


def has_api() -> bool:
    """Whether the package `frameworks` that this process imports has the current interface."""
    return find_spec("frameworks.api") is not None


def touch(case: Case) -> None:
    """Configure this process as the case's recipe requires, import the framework and initialise the device."""
    if has_api():
        from frameworks.api import find, load
        from frameworks.process import configure_process

        execution = find(case.framework).execution(case.recipe, case.precision, case.device)
        configure_process(find(case.framework), execution)
        load(case.framework).touch(execution.device)
        return
    if find_spec("frameworks.beginning") is not None:
        importlib.import_module("frameworks.beginning").begin(case.framework, case.recipe, case.device)
    importlib.import_module("frameworks.runtime").load(case.framework).touch(case.device)


def prepare(case: Case, source: str | int) -> AnyProgram:
    """Return the case's program. source: of its weights, a safetensors file or a seed."""
    blueprint = network(case.model, case.variant, resolution=case.resolution)
    weights = resolve(blueprint, source)
    if not has_api():
        old = importlib.import_module("frameworks.runtime").load(case.framework)
        subject = old.prepare(blueprint, weights, case.recipe, case.precision, case.device)
        return AnyProgram(
            subject.put, subject.compile, subject.step, subject.synchronise,
            lambda output: {"logits": subject.fetch(output)}, subject.settings, lambda: None,
        )  # fmt: skip
    from frameworks.api import find, load
    from frameworks.task import INFER, Batch

    execution = find(case.framework).execution(case.recipe, case.precision, case.device)
    program = load(case.framework).prepare(blueprint, weights, execution, INFER)

    def device_peak_bytes() -> int | None:
        memory = program.device_memory()
        return memory.peak_allocated_bytes if memory else None

    return AnyProgram(
        lambda images: program.put(Batch(images)), program.compile, program.step, program.synchronise, program.result,
        lambda: program.readings().settings, device_peak_bytes,
        lambda: [Substitution(wanted=s.wanted, why=s.why, ran=s.ran) for s in program.substitutions],
    )  # fmt: skip


def distributions(framework: str) -> tuple[str, ...]:
    """Return the distributions whose versions are reported."""
    if has_api():
        from frameworks.api import find

        return find(framework).distributions
    old = importlib.import_module("frameworks.runtime")
    named = old.distributions(framework) if hasattr(old, "distributions") else old.FRAMEWORKS[framework].distributions
    return tuple(named)
