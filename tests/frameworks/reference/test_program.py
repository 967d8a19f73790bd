"""The reference as a framework: it runs where it is asked for, and is nobody's rival."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from frameworks.api import FRAMEWORKS, IMPLEMENTATIONS, REFERENCES, CountsFlops, HasCeilings, Verifiable, load
from frameworks.architectures import network
from frameworks.errors import Unsupported
from frameworks.manifest import MANIFEST
from frameworks.weights import initial
from tests.cli.command import error_of, xibench
from tests.frameworks.programs import prepare, step
from xibench.analysis.checks import OURS
from xibench.run.plan import Selection

NARROW = ("--variant", "narrow", "--resolution", "96", "--batch", "1", "--images", "noise")
BRIEF = ("--processes", "1", "--max-warmup-steps", "1", "--min-steps", "1", "--budget", "0.1", "--repeats", "0",
         "--no-ceilings", "--device", "cpu")  # fmt: skip


def test_a_run_includes_it_only_on_request() -> None:
    assert list(REFERENCES) == ["reference"]
    assert "reference" in IMPLEMENTATIONS
    assert "reference" not in Selection().frameworks
    assert (*FRAMEWORKS, "reference") == OURS


def test_both_networks_run_through_the_command(tmp_path: Path) -> None:
    done = xibench("run", "-f", "reference", "-m", "xception,inception_v3", *NARROW, *BRIEF, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    records = json.loads(done.stdout)["records"]
    assert [(r["case"]["model"], r["status"]) for r in records] == [("xception", "ok"), ("inception_v3", "ok")]


@pytest.mark.parametrize("recipe", ["compiled", "tuned", "default+threads=2"])
def test_it_has_no_recipe_but_default(recipe: str, tmp_path: Path) -> None:
    line = error_of("run", "-f", "reference", *NARROW, "--recipe", recipe, "--dry-run", cwd=tmp_path, code=2)
    assert recipe in line


def test_it_has_no_ceilings_and_no_counter_but_every_blocks_output() -> None:
    reference = load("reference")
    assert isinstance(reference, Verifiable)
    assert not isinstance(reference, HasCeilings)
    assert not isinstance(reference, CountsFlops)
    with pytest.raises(Unsupported, match="no device 'cuda' in NumPy"):
        reference.touch("cuda")


def test_a_step_returns_logits_and_every_setting_has_a_value_or_a_reason() -> None:
    small = network("xception", "narrow", resolution=75)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 75, 75, 3)).astype(np.float32)
    program = prepare("reference", small)
    before = program.readings()
    logits = step(program, images)
    after = program.readings()
    assert logits.shape == (2, 1000)
    assert logits.dtype == np.float32
    assert before.settings["output_dtype"] is None
    assert after.settings["output_dtype"] == "float32"
    assert set(MANIFEST) <= set(after.settings)
    assert all(name in after.absent for name, value in after.settings.items() if value is None)
    outputs = load("reference").outputs(small, initial(small), "fp64", images)  # type: ignore[attr-defined]
    np.testing.assert_allclose(logits, outputs["head"], rtol=0, atol=1e-5 * np.abs(logits).max())
