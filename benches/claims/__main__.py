"""`python -m benches.claims [NAME ...]`: measure claims; prints one line of JSON for each."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from benches.claims import detection, latency, noise_floor, overhead, recipes, scheduling, speed, speed_gpu
from benches.claims.claim import Answer, Claim, keep
from frameworks.api import FRAMEWORKS
from xibench import __version__
from xibench.errors import XibenchError
from xibench.record import environment
from xibench.run.plan import resolve_device
from xibench.workers import session

CLAIMS: Final = {module.CLAIM.name: module.CLAIM for module in (
    overhead, scheduling, noise_floor, detection, speed, latency, recipes, speed_gpu
)}  # fmt: skip
WORK, KEPT = Path("results/claims"), Path("results/reference")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the named claims, by default all that this machine can, and return the exit code.

    Args:
        arguments: Command-line arguments; None for those of the process.

    Returns:
        0 if all claims meet their targets, 1 if one does not, otherwise the exit code of the error.
    """
    parser = argparse.ArgumentParser(prog="python -m benches.claims", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(CLAIMS)}  [default: all for its devices]")
    parser.add_argument("--all", action="store_true", help="measure all claims, the default")
    parser.add_argument("--json", action="store_true", help="print one line of JSON per claim, the default")
    parser.add_argument("--keep", action="store_true", help=f"also write {KEPT}/<machine>/claims.jsonl and samples")
    parser.add_argument(
        "--work", type=Path, help=f"folder of the samples, to resume from  [default: {WORK}, with --keep {KEPT}]"
    )
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in CLAIMS:
            parser.error(f"claim '{name}' is not known; expected one of {', '.join(CLAIMS)}")
    work = options.work or (KEPT if options.keep else WORK)
    try:
        named = dict.fromkeys(options.names) or _possible()
        met = [_measure(CLAIMS[name], work, options.keep) for name in named]
    except XibenchError as error:
        print(f"benches.claims: {error}", file=sys.stderr)
        return error.exit_code
    return 0 if all(met) else 1


def _possible() -> list[str]:
    """Return the claims whose device is available, and print which others are skipped."""
    device = resolve_device(tuple(FRAMEWORKS), "auto")
    for claim in CLAIMS.values():
        if claim.device not in ("cpu", device):
            print(f"benches.claims: {claim.name} is skipped: no framework sees a CUDA device", file=sys.stderr)
    return [claim.name for claim in CLAIMS.values() if claim.device in ("cpu", device)]


def _measure(claim: Claim, work: Path, kept: bool) -> bool:
    """Measure a claim, print its answer, and return whether it meets its targets."""
    machine = environment.read(session.interpreters())
    began = time.monotonic()
    folder = work / machine.machine / claim.name
    folder.mkdir(parents=True, exist_ok=True)
    figures = claim.measure(folder)
    targets = [
        {"figure": t.figure, "at_least": t.at_least, "at_most": t.at_most, "met": t.met(figures)} for t in claim.targets
    ]
    answer = Answer(
        claim=claim.name, sentence=claim.sentence, figures=figures, targets=targets,
        met=all(target.met(figures) for target in claim.targets), seconds=time.monotonic() - began,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"), xibench=__version__, environment=machine,
    )  # fmt: skip
    print(msgspec.json.encode(answer).decode(), flush=True)
    if kept:
        keep(answer, KEPT / machine.machine / "claims.jsonl")
    return answer.met


if __name__ == "__main__":
    sys.exit(main())
