"""The generated part of docs/recipes.md."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from benches.claims import latency, readme, recipes_doc, speed, speed_gpu
from benches.claims.__main__ import CLAIMS
from benches.claims.runs import MODELS
from frameworks.api import FRAMEWORKS
from tests.benches.test_speed import fake_record, gpu_run
from tests.builders import calibration, header
from xibench.errors import InputError
from xibench.record.documents import embed
from xibench.record.schema import Case

CASE = Case(framework="jax", model="xception")
GAIN = {"ratio": 1.234, "low": 1.1, "high": 1.3, "n": 4}


def answer(figures: dict[str, Any]) -> dict[str, Any]:
    machine = msgspec.json.decode(msgspec.json.encode(header([CASE]).environment))
    return {"figures": figures, "environment": machine, "created_utc": "2026-11-25T00:00:00+00:00"}


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    cells = (f"{framework} {model}" for framework in ("pytorch", "tensorflow", "jax") for model in MODELS)
    gains: dict[str, Any] = {cell: {"settings": {}} for cell in cells}
    gains["jax inception_v3"]["settings"] = {"depthwise": GAIN}
    return {
        "recipes": answer({"gains": gains}),
        "speed": answer(speed.figures([fake_record(case) for case in speed.cases()], calibration())),
        "latency": answer(latency.figures([fake_record(case) for case in latency.cases()], calibration())),
    }


def rows(text: str, heading: str) -> list[list[str]]:
    part = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")]


def test_each_setting_is_listed_with_its_reason_and_gain(answers: dict[str, Any]) -> None:
    table = rows(recipes_doc.text(answers), "JAX on a CPU")
    (depthwise,) = [row for row in table if row[1] == "`depthwise=shifted`"]
    assert depthwise[2:] == [
        "XLA fuses them; its grouped convolution is slow on CPUs", "not measured", "1.23 [1.10, 1.30]"
    ]  # fmt: skip
    assert "n = 4 processes a case" in recipes_doc.text(answers)
    written = {row[1].strip("`").split("=")[0] for row in table[2:]}
    default, tuned = (FRAMEWORKS["jax"].recipe(name, "cpu").choices for name in ("default", "tuned"))
    assert written == {name for name, value in tuned.items() if value != default[name]}


def test_throughput_is_shown_with_start_times_and_third_party_implementations(answers: dict[str, Any]) -> None:
    text = recipes_doc.text(answers)
    (xception, *_) = [row for row in rows(text, "All settings together") if row[:2] == ["PyTorch", "Xception"]]
    assert xception[2:5] == ["40 [40, 40]", "80 [80, 80]", "2.00 [2.00, 2.00]"]
    baselines = rows(text, "Third-party implementations, batch 8")
    (timm,) = [row for row in baselines if row[:2] == ["timm.create_model", "default"]]
    assert timm[2:] == ["failed", "–", "failed", "–"]
    assert "timm: failed, torchvision cannot be imported." in text
    assert [row[3] for row in rows(text, "Third-party implementations, batch 1") if row[1] == "compiled"]


def test_gpu_figures_have_a_row_per_cell(answers: dict[str, Any]) -> None:
    on_gpu = answer(speed_gpu.figures({block: gpu_run(block) for block in speed_gpu.BLOCKS}))
    text = recipes_doc.text({**answers, "speed_gpu": on_gpu})
    table = rows(text, "On a GPU")
    assert len(table) == 2 + 3 * 2 * 2 * 4
    (cell,) = [row for row in table if row[:4] == ["PyTorch", "Xception", "bf16", "64"]]
    assert cell[4:6] == ["640 [640, 640]", "1,280 [1,280, 1,280]"]
    assert cell[7:] == ["6.00", "4.00"]
    assert "speed_gpu` measures it" not in text
    row = readme.table({"speed_gpu": {**on_gpu, "sentence": "On a GPU", "answer": "met"}}).splitlines()[2]
    assert re.findall(r"x (\d+\.\d+)", row) == ["4.24", "3.49", "2.00"]


def test_without_a_measurement_the_text_names_the_command_that_measures() -> None:
    text = recipes_doc.text({})
    assert "images/s" not in text
    assert text.count("`python -m benches.claims recipes`") == 3
    assert "`python -m benches.claims speed_gpu`" in text


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(InputError, match="has no place for the recipes"):
        embed("nothing", "text", "recipes")


def test_every_claim_has_figures_in_the_readmes_table() -> None:
    assert set(readme.FIGURES_TEXT) == set(CLAIMS)
