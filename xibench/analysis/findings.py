"""What `xibench doctor` finds missing or disturbing: the effect of each, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from xibench.analysis.doctor import FrameworkState
    from xibench.measure.conditions import Conditions
    from xibench.record.schema import Environment

MIN_DISK_BYTES: Final = 1 << 30  # weights, batches and compiler caches of a run fit into this
BF16_FLAGS: Final = ("amx_bf16", "avx512_bf16")
MARKED: Final = "processes are repeated or marked as disturbed"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is missing or disturbs, what will be skipped or worse for it, and what to do."""

    what: str
    effect: str
    cure: str


def machine_findings(environment: Environment, inductor: str | None, free_bytes: int) -> Iterator[Finding]:
    """What is missing on this machine.

    inductor: why TorchInductor cannot compile for the CPU; None if it can.
    """
    if inductor is not None:
        yield Finding(
            what=inductor,
            effect="PyTorch's `compiled` recipe runs eagerly on the CPU and the record says so",
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
            effect="every case runs on the CPU; columns of the GPU stay empty",
            cure="nothing to do, unless there is an NVIDIA card: then install its driver",
        )
    if free_bytes < MIN_DISK_BYTES:
        yield Finding(
            what=f"{free_bytes >> 20} MiB free on disk",
            effect="a run may end with a disk that is full; what was written by then stays valid",
            cure=f"free at least {MIN_DISK_BYTES >> 20} MiB",
        )


def disturbance_findings(conditions: Conditions) -> Iterator[Finding]:
    """What would disturb a run that began now, by the limits that a run itself applies."""
    from xibench.measure.disturbance import THROTTLED, DisturbanceLimits

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
                what=f"card {gpu.index}: others compute on it, processes: {gpu.foreign_processes}",
                effect=f"they take time and memory from what is measured; {MARKED}",
                cure="stop them, or hide the card with CUDA_VISIBLE_DEVICES",
            )
        held = [name for name in gpu.throttle_reasons or () if name in THROTTLED]
        if held:
            yield Finding(
                what=f"card {gpu.index}: throttled, {', '.join(held)}",
                effect=f"lower clocks than the card has; {MARKED}",
                cure="let it cool, check its power supply and its power limit",
            )


def framework_findings(state: FrameworkState, has_gpu: bool) -> Sequence[Finding]:
    """A framework that is not installed or does not work, or that does not see the machine's GPU."""
    from frameworks.api import FRAMEWORKS

    if state.problem:
        return [Finding(
            what=state.problem,
            effect="its cases are recorded as unsupported, the rest runs",
            cure=FRAMEWORKS[state.name].install,
        )]
    if has_gpu and "cuda" not in state.devices:
        return [Finding(
            what=f"{state.name} sees no GPU, though there is one",
            effect="its cases on cuda are recorded as unsupported",
            cure=f"install a CUDA build of {FRAMEWORKS[state.name].module} in .venvs/{state.name}",
        )]
    return []
