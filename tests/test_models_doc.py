"""The code blocks of docs/models.md run as a reader would run them: in order, section by section."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TEXT = (Path(__file__).parents[1] / "docs/models.md").read_text(encoding="utf-8")
INTRODUCTION, *SECTIONS = TEXT.split("\n## ")


def run(section: str, names: dict[str, Any]) -> None:
    """Run the fenced blocks of a section one after another, with the same global names."""
    blocks = re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        exec(compile(block, "docs/models.md", "exec"), names)


@contextmanager
def as_a_reader_has_it(section: str) -> Iterator[None]:
    """Set JAX to its default precision, which other tests in this process may have raised."""
    if not section.startswith("JAX"):
        yield
        return
    import jax

    raised = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", False)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", raised)


@pytest.mark.parametrize(
    "section",
    [
        pytest.param(section, id=title, marks=[] if title == "PyTorch" else pytest.mark.slow)
        for section in SECTIONS
        for title in section.splitlines()[:1]
    ],
)
def test_the_blocks_of_a_section_run_and_give_what_they_say(
    section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    with as_a_reader_has_it(section):
        run(INTRODUCTION, names)
        run(section, names)

    logits = np.asarray(names["logits"].detach() if hasattr(names["logits"], "detach") else names["logits"])
    assert logits.shape == (2, 1000)
    if "probabilities" in names:
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        assert np.allclose(names["probabilities"], weights / weights.sum(-1, keepdims=True), atol=1e-5)
        assert all(gradient is not None and np.isfinite(np.asarray(gradient)).all() for gradient in names["gradients"])
    else:
        assert names["shapes"]["block1"] == (2, 45, 45, 16)


def test_every_block_is_python_and_inside_a_tested_section() -> None:
    assert TEXT.count("```python") == TEXT.count("```") / 2
