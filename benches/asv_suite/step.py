"""Time per step and peak memory: inference of one image, 299 x 299, fp32, on the best available device."""

from __future__ import annotations

from . import programs


class Step:
    """Seconds per synchronised step, after compilation and warm-up."""

    params = programs.AXES
    param_names = programs.AXIS_NAMES
    version = "1"  # increment it when the meaning of the figure changes, not when the code does
    timeout = 300.0
    rounds = 2  # fresh processes
    repeat = (5, 30, 8.0)  # samples per process: minimum, maximum, seconds
    number = 1  # steps per sample
    warmup_time = 0.0  # setup does the warm-up

    def setup(self, framework: str, model: str, recipe: str) -> None:
        self.program, self.batch = programs.warm(framework, model, recipe)

    def time_step(self, framework: str, model: str, recipe: str) -> None:
        programs.synchronised_step(self.program, self.batch)


class StepMemory:
    """Peak resident set of a process that builds, compiles and runs a step. `FrameworkMemory` is its baseline."""

    params = programs.AXES
    param_names = programs.AXIS_NAMES
    version = "1"
    timeout = 300.0

    def setup(self, framework: str, model: str, recipe: str) -> None:
        self.program, self.batch = programs.prepare(framework, model, recipe)

    def peakmem_step(self, framework: str, model: str, recipe: str) -> None:
        self.program.compile(self.batch)
        programs.synchronised_step(self.program, self.batch)


class FrameworkMemory:
    """Peak resident set of a process that imports the framework and initialises its device."""

    params = (programs.FRAMEWORKS,)
    param_names = ("framework",)
    version = "1"
    timeout = 120.0

    def setup(self, framework: str) -> None:
        programs.device(framework)

    def peakmem_framework(self, framework: str) -> None:
        pass
