"""What a framework says of itself: asked in a fresh process of its interpreter, so that the asker imports none."""

from __future__ import annotations

from typing import Final

from frameworks.api import IMPLEMENTATIONS, framework_of
from xibench.workers import interpreters
from xibench.workers.messages import Probe, ProbeFramework
from xibench.workers.session import run_worker

TIME_LIMIT_S: Final = 120.0


def probe(framework: str) -> Probe:
    """Asks a framework in its interpreter; takes as long as importing it.

    Raises nothing: why the framework cannot be asked is the `problem`, in one line with the cure.
    """
    outcome = run_worker(
        interpreters.worker_command(framework), interpreters.environment(), ProbeFramework(framework=framework), Probe,
        TIME_LIMIT_S,
    )  # fmt: skip
    if outcome.result is not None:
        return outcome.result
    cure = IMPLEMENTATIONS[framework_of(framework)].install
    problem = f"{framework}: its interpreter cannot be asked: {outcome.reason}; try `{cure}`"
    return Probe(framework=framework, versions={}, devices=[], problem=problem)
