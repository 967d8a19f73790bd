"""The adapter for pairs, with a package `frameworks` from before `frameworks.api` and with the current one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
OLD = {
    "__init__.py": "",
    "architectures.py": "def network(name, variant, resolution): return (name, variant, resolution)\n",
    "weights.py": "def resolve(network, source): return source\n",
    "beginning.py": "import os\n\ndef begin(*case): os.environ['BEGUN'] = ' '.join(case)\n",
    "runtime.py": """
import os, sys
import numpy as np

class Subject:
    def put(self, images): return images * 2
    def compile(self, batch): return True
    def step(self, batch): return batch.sum()
    def synchronise(self, output): self.output = output
    def fetch(self, output): return np.array([output])
    def settings(self): return {"begun": os.environ.get("BEGUN"), "prepared": self.prepared}

def load(name): return sys.modules[__name__]
def touch(device): return "ACME"
def distributions(name): return (name, "more")
def prepare(*arguments):
    subject = Subject()
    subject.prepared = repr(arguments)
    return subject
""",
}
"""A minimal package with the interface of version 0.1."""
PROGRAM = """
import json
import numpy as np
from tests.builders import small_case
from xibench.workers import any_frameworks

case = small_case()
any_frameworks.touch(case)
program = any_frameworks.prepare(case, 0)
batch = program.put(np.ones((1, 75, 75, 3), np.float32))
program.compile(batch)
output = program.step(batch)
program.synchronise(output)
logits = program.result(output)["logits"]
print(json.dumps({
    "old": not any_frameworks.has_api(), "shape": logits.shape, "first": float(logits.flat[0]),
    "settings": program.settings(), "distributions": any_frameworks.distributions(case.framework),
}))
"""


def answer(*folders: Path) -> dict[str, object]:
    path = os.pathsep.join(map(str, (*folders, ROOT)))
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_package_from_before_the_api_is_used_through_its_own_interface(tmp_path: Path) -> None:
    (tmp_path / "frameworks").mkdir()
    for name, text in OLD.items():
        (tmp_path / "frameworks" / name).write_text(text)
    found = answer(tmp_path)
    assert found["old"] is True
    assert found["first"] == 2 * 75 * 75 * 3
    assert found["settings"] == {
        "begun": "pytorch default cpu",
        "prepared": "(('xception', 'narrow', 75), 0, 'default', 'fp32', 'cpu')",
    }
    assert found["distributions"] == ["pytorch", "more"]


def test_an_old_package_without_process_configuration_works(tmp_path: Path) -> None:
    (tmp_path / "frameworks").mkdir()
    for name, text in OLD.items():
        if name != "beginning.py":
            (tmp_path / "frameworks" / name).write_text(text)
    settings = answer(tmp_path)["settings"]
    assert isinstance(settings, dict)
    assert settings["begun"] is None


def test_the_current_package_is_used_through_the_api() -> None:
    found = answer()
    assert (found["old"], found["shape"], found["distributions"]) == (False, [1, 1000], ["torch"])
    settings = found["settings"]
    assert isinstance(settings, dict)
    assert settings["output_dtype"] == "float32"
