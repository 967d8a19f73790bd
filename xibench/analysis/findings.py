"""Problems that `xibench doctor` finds, each with its effect and its cure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from xibench.analysis.doctor import FrameworkState
    from xibench.measure.conditions import Conditions
    from xibench.record.schema import Environment

MIN_DISK_BYTES: Final = 1 << 30  # enough for the weights, batches and compiler caches of a run
BF16_FLAGS: Final = ("amx_bf16", "avx512_bf16")  # CPU flags of native bf16 arithmetic
MARKED: Final = "processes are repeated or marked as disturbed"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One problem of this machine."""

    what: str  # the missing or disturbing thing
    effect: str  # what is skipped or less accurate because of it
    cure: str  # what to do about it


def machine_findings(environment: Environment, inductor: str | None, free_bytes: int) -> Iterator[Finding]:
    """Find what is missing on this machine.

    Args:
        environment: The machine and its software.
        inductor: Why TorchInductor cannot compile for the CPU; None if it can.
        free_bytes: Free disk space in the current directory.
    """
    if inductor is not None:
        yield Finding(
            what=inductor,
            effect="PyTorch's `compiled` recipe runs eagerly on the CPU, which the record notes",
            cure="install it, or name a compiler in CXX",
        )
    if not set(BF16_FLAGS) & set(environment.cpu_flags):
        yield Finding(
            what="CPU without " + " or ".join(BF16_FLAGS),
            effect="bf16 on the CPU is emulated: its times say little about bf16 elsewhere",
            cure="measure bf16 on a CPU that has one of them, or on a GPU",
        )
    if not environment.gpus:
        yield Finding(
            what=environment.absent.get("gpus", "no GPU: NVML reports none"),
            effect="every case runs on the CPU; GPU columns stay empty",
            cure="nothing to do, unless there is an NVIDIA GPU: then install its driver",
        )
    if free_bytes < MIN_DISK_BYTES:
        yield Finding(
            what=f"{free_bytes >> 20} MiB free on disk",
            effect="a run may end because the disk is full; results written before that stay valid",
            cure=f"free at least {MIN_DISK_BYTES >> 20} MiB",
        )


def temporary_folder_findings(temporary: str, programs: str) -> Iterator[Finding]:
    """Find out whether compiled programs cannot be built in the folder for temporary files.

    Args:
        temporary: The folder for temporary files.
        programs: The folder that a run puts compiled programs into.
    """
    from frameworks.process import unusable_for_programs

    why = unusable_for_programs(temporary)
    if why is not None:
        elsewhere = f"a run puts them into {programs}; whatever else uses torch.compile here runs eagerly or fails"
        eagerly = "PyTorch's `compiled` and `tuned` recipes run eagerly, which the record notes"
        yield Finding(
            what=f"compiled programs cannot be built in {temporary}: {why}",
            effect=eagerly if programs == temporary else elsewhere,
            cure="name another folder in TMPDIR: one without spaces, that can be written and executed from",
        )


def disturbance_findings(conditions: Conditions) -> Iterator[Finding]:
    """Find what would disturb a run that starts now, by the limits that a run itself applies."""
    from xibench.measure.conditions import THROTTLED, DisturbanceLimits

    limits = DisturbanceLimits()
    if conditions.others_share is not None and conditions.others_share > limits.others_share:
        yield Finding(
            what=f"other programs take {conditions.others_share:.1%} of the usable cores' time "
            f"(limit {limits.others_share:.1%})",
            effect=f"slower steps, wider intervals; {MARKED}",
            cure="stop them, or wait",
        )
    if conditions.steal_share is not None and conditions.steal_share > limits.steal_share:
        yield Finding(
            what=f"the hypervisor takes {conditions.steal_share:.1%} of the usable cores' time "
            f"(limit {limits.steal_share:.1%})",
            effect=f"slower steps, wider intervals; {MARKED}",
            cure="measure on cores of your own: a dedicated machine, or another hour",
        )
    if conditions.governor not in (None, "performance"):
        yield Finding(
            what=f"governor {conditions.governor}",
            effect="the clock follows the load, so that steps get faster while they are measured",
            cure="`cpupower frequency-set -g performance`",
        )
    for gpu in conditions.gpus:
        if gpu.foreign_processes:
            yield Finding(
                what=f"card {gpu.index} is used by other programs, foreign processes: {gpu.foreign_processes}",
                effect=f"they take time and memory from the measurement; {MARKED}",
                cure="stop them, or hide the GPU with CUDA_VISIBLE_DEVICES",
            )
        throttled = [name for name in gpu.throttle_reasons or () if name in THROTTLED]
        if throttled:
            yield Finding(
                what=f"card {gpu.index}: throttled, {', '.join(throttled)}",
                effect=f"lower clocks than the GPU is capable of; {MARKED}",
                cure="let it cool, check its power supply and its power limit",
            )


def framework_findings(state: FrameworkState, has_gpu: bool) -> Sequence[Finding]:
    """Find out whether a framework is not installed, does not work, or does not see the machine's GPU.

    Args:
        state: The framework as probed in its own interpreter.
        has_gpu: Whether NVML reports a GPU.
    """
    from frameworks.api import FRAMEWORKS

    if state.problem:
        return [Finding(
            what=state.problem,
            effect="its cases are recorded as unsupported; the others run",
            cure=FRAMEWORKS[state.name].install,
        )]
    if has_gpu and "cuda" not in state.devices:
        return [Finding(
            what=f"{state.name} sees no GPU although NVML reports one",
            effect="its cases on cuda are recorded as unsupported",
            cure=f"install a CUDA build of {FRAMEWORKS[state.name].module} in .venvs/{state.name}",
        )]
    return []
