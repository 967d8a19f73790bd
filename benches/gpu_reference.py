"""`python -m benches.gpu_reference --budget S`: a reference run of a machine with a GPU, in the order of its value.

For machines that are lent for minutes. Every call does what fits into its budget; the next call goes on where it
stopped, because each part is a run file in results/reference/<machine>/. The parts, in this order:

1. `doctor.json`: what the machine is, and what is missing.
2. The headline: the blocks of the claim `speed_gpu` in bf16 and fp32 at batch 256 and 1, ours against every third-party
   implementation. Before a case is timed, its logits are compared with those of the reference in float64.
3. The curve: `tuned` in bf16, batch 1 to 1024.
4. The other blocks of the claim, and its answer in claims.jsonl, which is `not shown` until all of it is measured.

Without a GPU it measures narrow networks on the CPU as a rehearsal, in another folder, and answers no claim. It runs
from a bare checkout: numpy, msgspec, psutil, scipy, safetensors, typer, rich and pillow are enough beside the
frameworks.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from benches.claims import runs, speed_gpu
from benches.claims.__main__ import ANSWERS, KEPT, answer_to
from benches.claims.claim import keep
from frameworks.api import FRAMEWORKS
from xibench.analysis.doctor import diagnose
from xibench.errors import XibenchError
from xibench.record import environment, files
from xibench.record.schema import Case, SamplingConfig
from xibench.record.text import encode
from xibench.run import plan
from xibench.run.plan import Selection, resolve_device
from xibench.workers import session

REHEARSALS: Final = Path("results/claims")
HEADLINE: Final = 4  # of speed_gpu's blocks, which are in the order of their value
CURVE: Final = Selection(
    models=runs.MODELS, recipes=("tuned",), precisions=("bf16",), batches=(1, 8, 64, 256, 512, 1024), device="cuda"
)
REHEARSED: Final = Selection(
    frameworks=("pytorch", "jax"), models=runs.MODELS, variants=("narrow",), recipes=("default", "tuned"),
    batches=(1, 2), resolutions=(96,), device="cpu",
)  # fmt: skip
GPU_SAMPLING: Final = SamplingConfig(
    processes=2, repeats=0, warmup_steps=3, max_warmup_steps=50, warmup_budget_s=4.0, min_steps=10, max_steps=1000,
    budget_s=3.0, time_limit_s=240.0,
)  # fmt: skip
REHEARSAL_SAMPLING: Final = msgspec.structs.replace(GPU_SAMPLING, warmup_budget_s=1.0, budget_s=0.5, repeats=0)
"""Two processes a case, in rounds over all cases of a part: a part that the budget cuts off has one of most cases."""

Part = tuple[str, Sequence[Case]]
"""The path of a run file, below the machine's folder, and the plan."""


def parts(device: str) -> Iterator[Part]:
    """Yield the parts in the order in which they are measured."""
    if device != speed_gpu.DEVICE:
        yield "rehearsal.jsonl", plan.cases(REHEARSED)
        return
    blocks = [(f"speed_gpu/{speed_gpu.file_name(block)}", speed_gpu.cases(block)) for block in speed_gpu.BLOCKS]
    yield from blocks[:HEADLINE]
    yield "curve-bf16.jsonl", plan.cases(CURVE)
    yield from blocks[HEADLINE:]


def measure(folder: Path, device: str, left_s: Callable[[], float]) -> None:
    """Measure the parts until the budget ends, and write what each of them has.

    Args:
        folder: The machine's folder.
        device: `cuda` or `cpu`.
        left_s: Returns the seconds that are left.
    """
    files.put(folder / "doctor.json", msgspec.json.format(encode(diagnose()), indent=2) + b"\n")
    sampling = GPU_SAMPLING if device == speed_gpu.DEVICE else REHEARSAL_SAMPLING
    for name, cases in parts(device):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if left_s() <= 0:
            break
        stored = runs.measured(path.parent, cases, "gpu_reference", path.name, left_s(), sampling)
        pending = len(stored.index.pending())
        state = f"{len(cases) - pending} of {len(cases)} cases are complete" if pending else "complete"
        print(f"{path}: {state}; {left_s():.0f} s left", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure for as long as the budget allows, and return the exit code.

    Args:
        arguments: Command-line arguments; None for those of the process.

    Returns:
        0 if the budget or the plan has ended, otherwise the exit code of the error.
    """
    began_s = time.monotonic()
    parser = argparse.ArgumentParser(prog="python -m benches.gpu_reference", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--budget", type=float, default=540.0, metavar="S", help="seconds that the call may take  [default: 540]"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=f"[default: {KEPT}; a rehearsal: {REHEARSALS}]")
    options = parser.parse_args(arguments)
    try:
        device = resolve_device(tuple(FRAMEWORKS), "auto")
        on_gpu = device == speed_gpu.DEVICE
        machine = environment.read(session.interpreters())
        folder = (options.out or (KEPT if on_gpu else REHEARSALS)) / machine.machine
        folder.mkdir(parents=True, exist_ok=True)
        if not on_gpu:
            print("no framework sees a GPU: a rehearsal with narrow networks on the CPU", file=sys.stderr)
        measure(folder, device, lambda: began_s + options.budget - time.monotonic())
        if on_gpu:
            keep(answer_to(speed_gpu.CLAIM, speed_gpu.derive(folder / "speed_gpu"), machine, began_s), folder / ANSWERS)
    except XibenchError as error:
        print(f"benches.gpu_reference: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
