"""A real repository, real asv and real measurements: which commit made the network slower, and which fixed it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benches.asv_suite.cases import KEEP_DISTURBED, OPTIONS

ROOT = Path(__file__).parents[2]
LAYERS = "frameworks/pytorch/layers.py"
BENCHMARK = r"networks\.PyTorch\.track_seconds_per_image\('xception', 'default', 1\)"
EFFORT = "--processes 3 --repeats 2 --budget 3 --max-warmup-steps 10"

# The largest of Xception's four pools is computed twice: about a tenth of the time per step on two cores.
POOL = '''    layer: blueprint.MaxPool

    def forward(self, x: Tensor) -> Tensor:
'''
SLOW_POOL = f"{POOL}        if x.shape[1] == 128:\n            F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 2)\n"


@dataclass(frozen=True)
class Clone:
    """A clone of this repository with the files of its working tree, in which commits are made and measured."""

    folder: Path
    env: Mapping[str, str]

    def call(self, *command: str, codes: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode in codes, (command, done.returncode, done.stdout, done.stderr)
        return done.stdout.strip()

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.folder / file).read_text()
        assert old in text
        (self.folder / file).write_text(text.replace(old, new))

    def commit(self, message: str) -> str:
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"]
        self.call("git", "add", "-A")
        self.call("git", *identity, "commit", "-q", "--allow-empty", "-m", message)
        return self.call("git", "rev-parse", "HEAD")

    def measure(self, commit: str) -> None:
        """Measure a commit as a nightly job does, in the environment of the tests."""
        self.call("git", "checkout", "-q", commit)
        self.call(
            sys.executable, "-m", "asv", "run", "-E", "existing", "--set-commit-hash", commit, "--record-samples",
            "--bench", BENCHMARK,
        )  # fmt: skip


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    folder, home = tmp_path / "clone", tmp_path / "home"
    home.mkdir()
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    tracked = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")
    for name in filter(None, tracked):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    env = {
        **os.environ, "HOME": str(home), "PYTHONPATH": str(folder), "ASV_PYTHONPATH": str(folder),
        OPTIONS: EFFORT, KEEP_DISTURBED: "1",
    }  # fmt: skip
    found = Clone(folder, env)
    found.call(sys.executable, "-m", "asv", "machine", "--yes")
    return found


NIGHTS = 2  # on which a change that noise hid may still be found; a wrong one may be found on none


@pytest.mark.slow
@pytest.mark.longest
@pytest.mark.alone
def test_the_commits_that_made_it_slower_and_faster_are_found_and_no_other(clone: Clone) -> None:
    """Eight commits, of which the third slows a layer down, the fourth renames, and the sixth undoes the third."""
    commits = [clone.commit("as it is"), clone.commit("neutral")]
    clone.edit(LAYERS, POOL, SLOW_POOL)
    commits.append(clone.commit("slow"))
    clone.edit(LAYERS, "cells", "positions")
    commits.append(clone.commit("rename"))
    commits.append(clone.commit("neutral"))
    clone.edit(LAYERS, SLOW_POOL, POOL)
    commits.append(clone.commit("fast again"))
    commits += [clone.commit("neutral"), clone.commit("neutral")]

    changes: dict[str, dict[str, Any]] = {}
    for _ in range(NIGHTS):
        for commit in commits:
            clone.measure(commit)
        arguments = ["-m", "xibench", "history", "results/asv", "--confirm", "--budget", "240", "--json"]
        [series] = json.loads(clone.call(sys.executable, *arguments, codes=(0, 3, 4)))["series"]
        assert series["points"] == len(commits)
        confirmed = [change for change in series["changes"] if change["state"] in ("confirmed", "fixed")]
        changes = {change["confirmation"]["commit"]: change for change in confirmed}
        assert set(changes) <= {commits[2], commits[5]}, series["changes"]
        if len(changes) == 2:
            break

    slower, faster = changes[commits[2]], changes[commits[5]]
    assert slower["ratio"] > 1 > faster["ratio"]
    assert (slower["state"], slower["fixed_by"]) == ("fixed", commits[5])
