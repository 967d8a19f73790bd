"""A fake kernel: files in the format of /proc and /sys, for two usable cores of three."""

from __future__ import annotations

from pathlib import Path

from xibench.measure.machine import Machine


class Kernel:
    """Writes the kernel's files. Seconds are the sum over all usable cores since boot."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.cpus = folder / "proc", folder / "cpus"
        self.proc.mkdir()
        self.cpus.mkdir()
        self.busy_s = self.stolen_s = self.own_s = 0.0
        self.time()
        (self.proc / "loadavg").write_text("1.25 0.90 0.70 2/345 6789\n")
        cores = (f"processor\t: {core}\ncpu MHz\t\t: {mhz}\n\n" for core, mhz in enumerate((2600, 2800, 9999)))
        (self.proc / "cpuinfo").write_text("".join(cores))

    @property
    def machine(self) -> Machine:
        """A reader of these files, with cores 0 and 1 usable and a tick of 10 ms."""
        return Machine(self.proc, self.cpus, (0, 1), lambda: self.own_s, 0.01)

    def time(self, busy_s: float = 0, stolen_s: float = 0, own_s: float = 0) -> None:
        """Add busy and stolen time of the cores, and the run's own part of it; core 2 is always busy."""
        self.busy_s, self.stolen_s, self.own_s = self.busy_s + busy_s, self.stolen_s + stolen_s, self.own_s + own_s
        busy, stolen = round(100 * self.busy_s), round(100 * self.stolen_s)
        (self.proc / "stat").write_text(
            f"cpu 1 2 3 4 5 6 7 8 9 10\ncpu0 {busy} 0 0 5000 70 0 0 {stolen} 33 0\ncpu1 0 0 0 5000 80 0 0 0 0 0\n"
            f"cpu2 {9 * busy + 7} 0 0 1 0 0 0 {9 * stolen} 0 0\nintr 1 2 3\n"
        )

    def cpufreq(self, hz: float, governor: str = "performance") -> None:
        """Set clock rate and governor of every core."""
        self._each("cpufreq", scaling_cur_freq=f"{hz / 1000:.0f}", scaling_governor=governor)

    def throttled(self, events: int) -> None:
        """Set the thermal events of each core since boot; the package counts one."""
        self._each("thermal_throttle", core_throttle_count=str(events), package_throttle_count="1")

    def _each(self, folder: str, **files: str) -> None:
        for core in range(3):
            (self.cpus / f"cpu{core}" / folder).mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (self.cpus / f"cpu{core}" / folder / name).write_text(text + "\n")
