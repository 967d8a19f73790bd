from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.measure.kernel import Kernel
from xibench.measure.machine import Machine, NotReported, move_to, own_cpu_s, usable_cores

SPIN = "import time\nwhile time.process_time() < {seconds}: pass\nprint('spun', flush=True)\ninput()"


def test_busy_time_excludes_idle_iowait_stolen_time_and_unusable_cores(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    kernel.time(busy_s=3, stolen_s=0.5, own_s=2)
    time = kernel.machine.core_time()
    assert (time.busy_s, time.stolen_s) == pytest.approx((3, 0.5))
    assert time.own_s == 2


def test_user_system_and_interrupt_time_is_busy_and_guest_time_is_not_counted_twice(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu0 1 10 100 7 7 1000 10000 7 1 10\n")
    assert Machine(tmp_path, tmp_path, (0,), lambda: 0.0, 1.0).core_time().busy_s == 11111


def test_a_core_that_the_kernel_does_not_list_is_named_in_the_reason(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu0 1 10 100 7 7 1000 10000 7 1 10\n")
    with pytest.raises(NotReported, match="no times of core 5"):
        Machine(tmp_path, tmp_path, (0, 5), lambda: 0.0, 1.0).core_time()


def test_the_clock_rate_is_the_mean_over_the_usable_cores(tmp_path: Path) -> None:
    assert Kernel(tmp_path).machine.cpu_hz() == 2.7e9


def test_cpufreq_is_preferred_to_cpuinfo_for_the_clock_rate(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    kernel.cpufreq(3.5e9, "powersave")
    assert kernel.machine.cpu_hz() == 3.5e9
    assert kernel.machine.governor() == "powersave"


def test_thermal_events_are_added_over_the_usable_cores(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    kernel.throttled(4)
    assert kernel.machine.throttle_count() == 2 * (4 + 1)


def test_values_that_the_kernel_does_not_report_have_a_reason(tmp_path: Path) -> None:
    machine = Kernel(tmp_path).machine
    with pytest.raises(NotReported, match="no cpufreq"):
        machine.governor()
    with pytest.raises(NotReported, match="no thermal events"):
        machine.throttle_count()
    with pytest.raises(NotReported, match=r"stat cannot be read: No such file"):
        Machine(tmp_path / "none", tmp_path, (0,)).core_time()


def test_a_processor_without_a_clock_rate_in_cpuinfo_has_a_reason(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    (kernel.proc / "cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 50.00\n")
    with pytest.raises(NotReported, match="reports the clock"):
        kernel.machine.cpu_hz()


def test_cpu_time_of_a_child_counts_while_it_runs_and_after_it_has_exited() -> None:
    before = own_cpu_s()
    child = subprocess.Popen(
        [sys.executable, "-c", SPIN.format(seconds=0.4)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    assert child.stdout.readline() == "spun\n"
    alive = own_cpu_s() - before
    child.communicate("\n")
    ended = own_cpu_s() - before
    assert 0.35 < alive < 3
    assert alive - 0.05 < ended < 3


def test_cpu_time_of_a_grandchild_counts_once_the_child_has_waited_for_it() -> None:
    grandchild = "import time\nwhile time.process_time() < 0.4: pass"
    started = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {grandchild!r}])\n"
    program = started + "print('waited', flush=True)\ninput()"
    before = own_cpu_s()
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout
    assert child.stdout.readline() == "waited\n"
    alive = own_cpu_s() - before
    child.communicate("\n")
    assert 0.35 < alive < 3


def test_this_machine_is_read_without_an_error() -> None:
    machine = Machine()
    assert machine.core_time().busy_s > 0
    assert machine.load_1m() >= 0
    assert machine.own_cpu_s() > 0


def test_a_moved_thread_runs_on_that_core_and_may_leave_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The core is read as soon as the kernel has moved the thread: later, the load of other processes may move it."""
    ran: list[int] = []
    allow = os.sched_setaffinity

    def record(pid: int, cores: Iterable[int]) -> None:
        allow(pid, cores)
        stat = Path(f"/proc/self/task/{threading.get_native_id()}/stat").read_text()
        if len(os.sched_getaffinity(0)) == 1:
            ran.append(int(stat.rpartition(")")[2].split()[36]))

    monkeypatch.setattr(os, "sched_setaffinity", record)
    everywhere = os.sched_getaffinity(0)
    for core in usable_cores():
        move_to(core)
        assert os.sched_getaffinity(0) == everywhere
    assert ran == list(usable_cores())
