"""`python -m benches.claims [NAME ...]`: measure claims; prints one line of JSON for each, whose `answer` is `met`,
`not met` or `not shown`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from benches.claims import detection, history, latency, noise_floor, overhead, recipes, scheduling, speed, speed_gpu
from benches.claims.claim import MET, Answer, Claim, Figures, keep, overall
from frameworks.api import FRAMEWORKS
from xibench import __version__
from xibench.errors import InputError, XibenchError
from xibench.record import environment
from xibench.record.schema import Environment
from xibench.run.plan import resolve_device
from xibench.workers import session

CLAIMS: Final = {module.CLAIM.name: module.CLAIM for module in (
    overhead, scheduling, noise_floor, detection, history, speed, latency, recipes, speed_gpu
)}  # fmt: skip
WORK, KEPT, ANSWERS = Path("results/claims"), Path("results/reference"), "claims.jsonl"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the named claims, by default all that this machine can, and return the exit code.

    Args:
        arguments: Command-line arguments; None for those of the process.

    Returns:
        0 if all claims are met, 1 if one is not met or not shown, otherwise the exit code of the error.
    """
    parser = argparse.ArgumentParser(prog="python -m benches.claims", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(CLAIMS)}  [default: all for its devices]")
    parser.add_argument("--all", action="store_true", help="measure all claims, the default")
    parser.add_argument("--json", action="store_true", help="print one line of JSON per claim, the default")
    parser.add_argument("--keep", action="store_true", help=f"also write {KEPT}/<machine>/claims.jsonl and samples")
    parser.add_argument(
        "--work", type=Path, help=f"folder of the samples, to resume from  [default: {WORK}, with --keep {KEPT}]"
    )
    parser.add_argument(
        "--again", type=Path, metavar="FOLDER", help="measure nothing: answer anew from what a folder of --keep holds"
    )
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in CLAIMS:
            parser.error(f"claim '{name}' is not known; expected one of {', '.join(CLAIMS)}")
    work = options.work or (KEPT if options.keep else WORK)
    try:
        if options.again:
            met = [_answer_again(line, options.again) for line in _kept(options.again)]
        else:
            met = [_measure(CLAIMS[name], work, options.keep) for name in dict.fromkeys(options.names) or _possible()]
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
    answer = answer_to(claim, claim.measure(folder), machine, began)
    print(msgspec.json.encode(answer).decode(), flush=True)
    if kept:
        keep(answer, KEPT / machine.machine / ANSWERS)
    return answer.answer == MET


def answer_to(claim: Claim, figures: Figures, machine: Environment, began_s: float) -> Answer:
    """Return the answer that figures give, measured on this machine since `began_s` of the monotonic clock."""
    targets = claim.verdicts(figures)
    return Answer(
        claim=claim.name, sentence=claim.sentence, figures=figures, targets=targets, answer=overall(targets),
        seconds=time.monotonic() - began_s, created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        xibench=__version__, environment=machine,
    )  # fmt: skip


def _kept(folder: Path) -> list[dict[str, Any]]:
    """Return the kept answers of a machine as they were written, also by earlier versions."""
    try:
        return [msgspec.json.decode(line) for line in (folder / ANSWERS).read_bytes().splitlines()]
    except OSError as error:
        raise InputError(f"{error}; expected a folder of kept claims, such as {KEPT}/<machine>") from None


def _answer_again(kept: dict[str, Any], folder: Path) -> bool:
    """Judge a kept answer by today's targets and, if its run is kept, derive its figures anew; when and where it was
    measured stay. Return whether the claim is met.
    """
    claim = CLAIMS[kept["claim"]]
    if claim.derive is not None:
        kept["figures"] = msgspec.to_builtins(claim.derive(folder / claim.name))
    targets = claim.verdicts(kept["figures"])
    kept |= {"sentence": claim.sentence, "targets": targets, "answer": overall(targets)}
    answer = msgspec.convert(msgspec.to_builtins(kept), Answer)  # what only earlier versions wrote is dropped
    print(msgspec.json.encode(answer).decode(), flush=True)
    keep(answer, folder / ANSWERS)
    return answer.answer == MET


if __name__ == "__main__":
    sys.exit(main())
