"""A worker that misbehaves on request. Arguments: its behaviours for batch 1, 2, …, by commas; the answer pipe.

The last behaviour stands for all larger batches, too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np

from tests.builders import process
from xibench.measure.phase import Phase
from xibench.workers.messages import EnteredPhase, Failure, MeasureCase, Measured, Message

PIPE = int(sys.argv[-1])


def say(answer: Message) -> None:
    os.write(PIPE, msgspec.json.encode(answer) + b"\n")


def behave(request: MeasureCase, behaviour: str) -> None:
    match behaviour.split(":"):
        case ["ok"]:
            mean = float(np.load(request.batch_file, mmap_mode="r").mean())
            say(Measured(process=msgspec.structs.replace(process(order=request.order), output_mean=mean)))
        case ["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["exit"]:
            sys.exit(3)
        case ["hang"]:
            time.sleep(3600)
        case ["rubbish"]:
            os.write(PIPE, b"\x00rubbish\n")
            time.sleep(3600)
        case ["endless"]:
            while True:
                os.write(PIPE, b"x" * 65536)
        case ["hoard", mebibytes]:
            hoard = np.ones((int(mebibytes), 2**20), np.int8)
            time.sleep(3600)
            print(hoard.sum())
        case ["child-hoards", mebibytes]:
            hoarding = f"import time; hoard = b'x' * ({mebibytes} << 20); time.sleep(3600)"
            subprocess.run([sys.executable, "-c", hoarding], check=True)
        case ["slow", seconds]:
            say(EnteredPhase(phase=Phase.TIMING))
            time.sleep(float(seconds))
            say(EnteredPhase(phase=Phase.DONE))
            say(Measured(process=process(order=request.order)))
        case ["memory"]:
            say(Failure(status="out_of_memory", reason="MemoryError: no room"))
        case ["crash-after-answer"]:
            say(Measured(process=process(order=request.order)))
            os.abort()
        case ["chatter"]:
            print("y" * 5_000_000)
            sys.exit(3)
        case ["child", pid_file]:
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
            Path(pid_file).write_text(f"{os.getpid()} {child.pid}")
            time.sleep(3600)
        case ["orphan", pid_file]:
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
            Path(pid_file).write_text(str(child.pid))
            sys.exit(3)


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.stdin.buffer.readline(), type=MeasureCase)
    print("last words")
    say(EnteredPhase(phase=Phase.BUILD))
    behaviours = sys.argv[1].split(",")
    behave(asked, behaviours[min(asked.case.batch, len(behaviours)) - 1])
