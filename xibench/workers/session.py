"""Worker processes as seen by the parent: how to start one, and a session with it until it exits, however it exits.

This is the only module that starts workers. A worker can run out of memory, hang, die, write garbage to its pipe or
print without end. Each of these ends in a WorkerOutcome: a status, a reason in one line and the worker's last output.

The frameworks' CUDA libraries cannot share one environment. A framework may therefore have an environment of its own,
`.venvs/<framework>` in the checkout or in the current directory; otherwise its workers run in the parent's interpreter.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

from frameworks.api import FRAMEWORKS, framework_of
from xibench.measure.memory import ResidentSet, oom_kills, worker_limit_bytes
from xibench.measure.phase import Phase, PhaseListener
from xibench.record.schema import Status
from xibench.record.text import decode_exactly, encode_exactly
from xibench.workers.messages import Answer, EnteredPhase, Failure, Message, Progress, Request, Result

NO_MODULE: Final = re.compile(r"No module named '(\w+)")
WORKER_PACKAGES: Final = ("numpy", "msgspec", "psutil", "safetensors")  # besides the framework
ROOT: Final = Path(__file__).resolve().parents[2]
POLL_S: Final = 0.1  # interval of memory and power readings; delay of noticing an exit if children keep the pipes open
GRACE_S: Final = 10.0  # for an idle worker to exit by itself
LOG_BYTES: Final = 16 * 1024  # of a worker's last output that are kept
ANSWER_BYTES: Final = 2**30  # some 50 million steps
GARBAGE_BYTES: Final = 16 * 1024 * 1024  # without a line end, if it does not begin as a message does
MESSAGE: Final = b'{"type":"'
CHUNK_BYTES: Final = 64 * 1024
CACHES: Final = {
    "TORCHINDUCTOR_CACHE_DIR": "inductor", "TRITON_CACHE_DIR": "triton", "CUDA_CACHE_PATH": "cuda",
    "PYTORCH_KERNEL_CACHE_PATH": "kernels", "PYTORCH_TUNABLEOP_FILENAME": "tunableop.csv",
}  # fmt: skip
"""Where compilers and tuners keep their results: variable -> name below the folder of one process."""
SHARED_CACHES: Final = {
    "JAX_ENABLE_COMPILATION_CACHE": "false", "TORCHINDUCTOR_FX_GRAPH_REMOTE_CACHE": "0",
    "TORCHINDUCTOR_AUTOTUNE_REMOTE_CACHE": "0", "TORCHINDUCTOR_BUNDLED_AUTOTUNE_REMOTE_CACHE": "0",
    "TORCHINDUCTOR_AUTOGRAD_REMOTE_CACHE": "0", "TORCH_DYNAMO_AUTOMATIC_DYNAMIC_REMOTE_PGO": "0",
}  # fmt: skip
"""Caches that processes would share, with the value that turns each off."""
CACHE_FLAG: Final = re.compile(
    r"--(?:tf_xla_persistent_cache_\w+|xla_gpu_per_fusion_autotune_cache_dir|xla_gpu_kernel_cache_file"
    r"|xla_gpu_load_autotune_results_from)(?:=\S*)?\s*"
)
"""Options of XLA that let a process read what another one compiled or tuned."""
DRAIN_READS: Final = 256  # far more than the pipes of a dead worker can hold

Answered = TypeVar("Answered", bound=Result)


def interpreter(framework: str) -> str:
    """Return the path of the Python that a framework's workers run in.

    A third-party implementation runs in the interpreter of its framework.
    """
    for folder in (ROOT, Path.cwd()):
        python = folder / ".venvs" / framework_of(framework) / "bin" / "python"
        if python.exists():
            return str(python)
    return sys.executable


def interpreters() -> dict[str, str]:
    """Return `parent` or `.venvs/<framework>` by framework, for the record."""
    own = {name: f".venvs/{name}" for name in FRAMEWORKS}
    return {name: own[name] if own[name] in interpreter(name) else "parent" for name in FRAMEWORKS}


def worker_command(framework: str | None = None) -> list[str]:
    """Return the command that starts a worker in a framework's interpreter; None: in the parent's.

    With -P, a folder `jax` or a file `torch.py` in the current directory does not shadow the framework.
    """
    return [interpreter(framework) if framework else sys.executable, "-P", "-m", "xibench.workers"]


def worker_environment(programs: Path | None = None) -> dict[str, str]:
    """Return the environment variables of a worker: the parent's, with this package on the path and preallocation off.

    No worker reads what another process has compiled or tuned, whatever cache the user has set up: what a compiler
    keeps on disk goes into a folder of this worker, or nowhere.

    JAX and TensorFlow allocate most of a GPU's memory at the start by default, which would hide a model's memory use.
    GPUs are numbered in PCI bus order, as NVML numbers them, unless the user has chosen another order. Thread counts
    are not changed: the measurements use what a user would get.

    Args:
        programs: An existing folder for what this worker's compilers keep; None for a worker whose times are not
            recorded.
    """
    variables = {
        **os.environ,
        **SHARED_CACHES,
        **{name: str(programs / part) for name, part in CACHES.items() if programs is not None},
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "PYTHONUNBUFFERED": "1",  # the last output of a killed worker must not be lost in a buffer
        "PYTHONFAULTHANDLER": "1",
    }
    variables.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    variables.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    for name in ("XLA_FLAGS", "TF_XLA_FLAGS"):
        given = variables.get(name, "")
        if given and not given.startswith("-"):  # a file with options, as XLA takes it
            with contextlib.suppress(OSError):
                given = " ".join(Path(given).read_text().split())
        if CACHE_FLAG.search(given):
            variables[name] = CACHE_FLAG.sub("", given).strip()
    if programs is not None:  # some compilers know no other folder for what they keep, such as precompiled headers
        variables["TMPDIR"] = str(programs)
    if ROOT.name not in ("site-packages", "dist-packages"):
        others = variables.get("PYTHONPATH")
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), others)))
    return variables


class Observer(PhaseListener, Protocol):
    """Callbacks that follow a worker."""

    def on_tick(self) -> None:
        """Called about ten times a second while the parent waits for the worker."""


class Unobserved:
    """An observer that does nothing."""

    def on_phase(self, phase: Phase) -> None:
        """Does nothing."""

    def on_progress(self, text: str) -> None:
        """Does nothing."""

    def on_tick(self) -> None:
        """Does nothing."""


@dataclass(frozen=True, slots=True)
class WorkerOutcome(Generic[Answered]):
    """How a worker ended: with its result if the status is ok, otherwise with a reason and its output, if any."""

    status: Status
    reason: str | None = None  # one line
    log: str | None = None  # end of the worker's output
    result: Answered | None = None
    missing: bool = False  # the framework is not installed


class WorkerFailed(Exception):
    """A worker returned no result; `outcome` is how it ended."""

    def __init__(self, outcome: WorkerOutcome[Any]) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


def run_worker(
    command: Sequence[str],
    environment: Mapping[str, str],
    request: Request,
    kind: type[Answered],
    time_limit_s: float,
    memory_limit_bytes: int | None = None,
    observer: Observer | None = None,
) -> WorkerOutcome[Answered]:
    """Start a worker for one request, wait for its result and let it exit.

    Args:
        command: The program and its arguments.
        environment: All of its environment variables.
        request: The job of the worker.
        kind: Type of the answer to such a request.
        time_limit_s: Limit from the start to the result.
        memory_limit_bytes: As WorkerSession takes it.
        observer: As WorkerSession takes it.

    Returns:
        How the worker ended. None of its processes is left running, even if this raises (KeyboardInterrupt).
    """
    try:
        with WorkerSession(command, environment, memory_limit_bytes, observer) as session:
            session.send(request)
            result = session.receive(kind, time_limit_s)
            session.finish()
            return WorkerOutcome("ok", result=result)
    except WorkerFailed as error:
        return error.outcome


class WorkerSession(contextlib.AbstractContextManager["WorkerSession"]):
    """One worker process. A context manager: on exit, the worker and all of its children have been killed.

    The process has a session of its own, so that Ctrl-C reaches the parent only and the worker can be killed with its
    children; a dedicated pipe for answers, whose number is its last argument; and standard input, which stays open as
    long as the parent lives.

    Args:
        command: The program and its arguments.
        environment: All of its environment variables.
        memory_limit_bytes: Limit for the worker and its children together; None: see `worker_limit_bytes`.
        observer: Receives phases and progress, and is called regularly while the parent waits for the worker.

    Raises:
        WorkerFailed: The program cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        memory_limit_bytes: int | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._memory_limit_bytes = worker_limit_bytes(memory_limit_bytes)
        self._oom_kills = oom_kills()
        self._observer = observer or Unobserved()

        # Start the process; the child's end of the pipe is closed here in any case.
        self._answers, theirs = os.pipe()
        self._python = command[0]
        try:
            self._child = subprocess.Popen(
                [*command, str(theirs)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, pass_fds=(theirs,), start_new_session=True,
            )  # fmt: skip
        except BaseException as error:
            os.close(self._answers)
            if not isinstance(error, OSError):
                raise
            reason = f"the worker cannot be started: {command[0]}: {error.strerror}"
            raise WorkerFailed(WorkerOutcome("failed", reason)) from None
        finally:
            os.close(theirs)
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._stdin, self._stdout = self._child.stdin, self._child.stdout

        # What the worker has written so far, and what is known about it.
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._answers, selectors.EVENT_READ)
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self._output = b""
        self._line = bytearray()  # the start of an incomplete message
        self._inbox: deque[Answer] = deque()
        self._phase = Phase.START
        self._doing: str = Phase.START  # the phase or the latest progress text
        self._verdict: tuple[Status, str] | None = None  # why the worker has to be killed
        self._resident = ResidentSet(self._child.pid)
        self._ticked_s = time.monotonic()
        self._killing = threading.Lock()
        self._killed = False

    def send(self, request: Request) -> None:
        """Send a request; `receive` waits for its answer."""
        with contextlib.suppress(BrokenPipeError):  # it is dead already; receive() reports how it died
            self._stdin.write(encode_exactly(request) + b"\n")
            self._stdin.flush()

    def receive(self, kind: type[Answered], time_limit_s: float) -> Answered:
        """Wait for the answer to the oldest request that has none.

        Args:
            kind: Type of the answer to such a request.
            time_limit_s: Limit from now on.

        Raises:
            WorkerFailed: The worker answered with a failure or with another message, or did not answer. In the last
                case it has been killed.
        """
        deadline = time.monotonic() + time_limit_s
        while not self._inbox and self._verdict is None and self._child.poll() is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                reason = f"the worker was still in {self._doing} after its limit of {time_limit_s:g} s and was killed"
                self._verdict = ("timeout", reason)
                break
            self._poll(min(left_s, POLL_S))
        if not self._inbox:
            code = self._child.returncode
            self.kill()
            reads = 0
            while reads < DRAIN_READS and self._poll(0):  # the answer may still be in the pipe
                reads += 1
            if not self._inbox:
                status, reason = self._verdict or self._death(code)
                raise WorkerFailed(WorkerOutcome(status, reason, self._log()))
        answer = self._inbox.popleft()
        if isinstance(answer, Failure):
            raise WorkerFailed(WorkerOutcome(answer.status, answer.reason, self._log(), missing=answer.missing))
        if not isinstance(answer, kind):
            reason = f"the worker answered {type(answer).__name__} during {self._doing}, expected {kind.__name__}"
            raise WorkerFailed(WorkerOutcome("failed", reason, self._log()))
        return answer

    def finish(self) -> None:
        """Close the standard input of a worker that has answered everything, and wait until it exits.

        Whether and how it exits does not affect its answers: some frameworks crash or hang while the interpreter shuts
        down.
        """
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        deadline = time.monotonic() + GRACE_S
        while self._child.poll() is None and time.monotonic() < deadline:
            self._poll(POLL_S)

    def kill(self) -> None:
        """Kill the worker and its children. Another thread may be waiting in `receive`, which then returns."""
        with self._killing:
            if self._killed:  # another process may have its id by now
                return
            self._killed = True
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: PermissionError for zombies
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()

    def __exit__(self, *_: object) -> None:
        """Kill what is left of the worker and close the pipes. No thread may be in `receive`."""
        self.kill()
        self._selector.close()
        os.close(self._answers)
        self._stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()

    def _log(self) -> str | None:
        """Return the end of the worker's output."""
        return self._output.decode(errors="replace").strip() or None

    def _death(self, code: int) -> tuple[Status, str]:
        """Return status and reason of a worker that exited by itself. code: as in subprocess, negative for a signal."""
        lacking = NO_MODULE.search(self._log() or "")
        if code >= 0 and self._doing == Phase.START and lacking and lacking[1] in WORKER_PACKAGES:
            cure = f"`{self._python} -m pip install {' '.join(WORKER_PACKAGES)}`"
            return "failed", f"{self._python} does not have {lacking[1]}, without which a worker cannot start; {cure}"
        if code >= 0:
            return "failed", f"the worker exited with code {code} during {self._doing}, without a result"
        if code == -signal.SIGKILL and (oom_kills() or 0) > (self._oom_kills or 0):
            counted = "the kernel counts one process more that ran out of memory"
            return "out_of_memory", f"the worker was killed by SIGKILL during {self._doing}; {counted}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = "; perhaps by the kernel's out-of-memory killer: try a smaller batch" if -code == signal.SIGKILL else ""
        return "failed", f"the worker was killed by {name} during {self._doing}{hint}"

    def _poll(self, timeout_s: float) -> bool:
        """Read from both pipes once, within the timeout; returns False if there was nothing to read.

        At most ten times a second, also call the observer and compare the worker's memory with its limit.
        """
        ready = self._selector.select(timeout_s)
        for key, _ in ready:
            data = os.read(key.fd, CHUNK_BYTES)
            if not data:
                self._selector.unregister(key.fileobj)
            if key.fd == self._answers:
                self._take_messages(data)
            else:
                self._output = (self._output + data)[-LOG_BYTES:]
        if time.monotonic() - self._ticked_s >= POLL_S and not self._killed:
            self._ticked_s = time.monotonic()
            self._observer.on_tick()
            held = self._resident.total_bytes(quiet=self._phase is Phase.TIMING)
            if held > self._memory_limit_bytes and not self._inbox:
                self._verdict = ("out_of_memory", memory_reason(held, self._memory_limit_bytes, self._doing))
        return bool(ready)

    def _take_messages(self, data: bytes) -> None:
        """Decode complete lines: pass phases and progress on to the observer, and keep answers for `receive`."""
        self._line += data
        lines: list[bytearray] = []
        if b"\n" in data:  # the answer with a million steps comes in hundreds of chunks
            *lines, self._line = self._line.split(b"\n")
        for line in lines:
            try:
                message: Message = decode_exactly(line, Message)
            except ValueError:
                shown = line[:80].decode(errors="replace")
                garbage = f"the worker wrote no message on the pipe for its answers, but {shown!r}"
                self._verdict = self._verdict or ("failed", garbage)
                continue
            if isinstance(message, EnteredPhase):
                self._phase = message.phase
                self._doing = message.phase
                self._observer.on_phase(message.phase)
            elif isinstance(message, Progress):
                self._doing = message.text
                self._observer.on_progress(message.text)
            else:
                self._inbox.append(message)
        if len(self._line) > (ANSWER_BYTES if self._line.startswith(MESSAGE) else GARBAGE_BYTES):
            endless = f"the worker wrote {len(self._line)} bytes without a line end on the pipe for its answers"
            self._verdict = self._verdict or ("failed", endless)


def memory_reason(held_bytes: int, limit_bytes: int, doing: str) -> str:
    """Return the reason why a worker that exceeded its memory limit was killed.

    The memory is rounded up and the limit down, so that the former reads as larger than the latter even if they differ
    by less than 0.1 MiB.
    """
    held = f"{math.ceil(held_bytes * 10 / 2**20) / 10:.1f} MiB"
    limit = f"{math.floor(limit_bytes * 10 / 2**20) / 10:.1f} MiB"
    return f"the worker held {held} of memory during {doing}, more than its limit of {limit}, and was killed"


def last_line(log: str | None) -> str:
    """Return the last line that a worker printed, for a message of one line."""
    return (log or "nothing was printed").rstrip().rpartition("\n")[2]
