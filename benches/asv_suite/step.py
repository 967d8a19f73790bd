"""Time per step and peak memory: inference of one image, 299 x 299, fp32, on the best available device."""

from __future__ import annotations

from . import subjects


class Step:
    """Seconds per synchronised step, after compilation and warm-up."""

    params = subjects.AXES
    param_names = subjects.AXIS_NAMES
    version = "1"  # increment it when the meaning of the figure changes, not when the code does
    timeout = 300.0
    rounds = 2  # fresh processes
    repeat = (5, 30, 8.0)  # samples per process: minimum, maximum, seconds
    number = 1  # steps per sample
    warmup_time = 0.0  # setup has warmed up

    def setup(self, framework: str, model: str, recipe: str) -> None:
        self.subject, self.batch = subjects.warm(framework, model, recipe)

    def time_step(self, framework: str, model: str, recipe: str) -> None:
        subjects.synchronised_step(self.subject, self.batch)


class StepMemory:
    """Peak resident set of a process that builds, compiles and steps. `FrameworkMemory` is its empty baseline."""

    params = subjects.AXES
    param_names = subjects.AXIS_NAMES
    version = "1"
    timeout = 300.0

    def setup(self, framework: str, model: str, recipe: str) -> None:
        self.subject, self.batch = subjects.prepare(framework, model, recipe)

    def peakmem_step(self, framework: str, model: str, recipe: str) -> None:
        self.subject.compile(self.batch)
        subjects.synchronised_step(self.subject, self.batch)


class FrameworkMemory:
    """Peak resident set of a process that imports the framework and initialises its device."""

    params = (subjects.FRAMEWORKS,)
    param_names = ("framework",)
    version = "1"
    timeout = 120.0

    def setup(self, framework: str) -> None:
        subjects.device(framework)

    def peakmem_framework(self, framework: str) -> None:
        pass
