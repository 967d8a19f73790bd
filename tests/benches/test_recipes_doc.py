"""docs/recipes.md from the claims' answers: no process is started here."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from benches.claims import latency, readme, recipes_doc, speed, speed_gpu
from benches.claims.runs import MODELS
from frameworks.api import FRAMEWORKS
from tests.benches.test_speed import taken
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
        "speed": answer(speed.figures([taken(case) for case in speed.cases()], calibration())),
        "latency": answer(latency.figures([taken(case) for case in latency.cases()], calibration())),
    }


def rows(text: str, heading: str) -> list[list[str]]:
    part = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")]


def test_each_setting_stands_with_its_reason_and_its_gain(answers: dict[str, Any]) -> None:
    table = rows(recipes_doc.text(answers), "JAX on a CPU")
    (depthwise,) = [row for row in table if row[1] == "`depthwise=shifted`"]
    assert depthwise[2:] == [
        "XLA fuses them; its grouped convolution is slow on CPUs", "not measured", "1.23 [1.10, 1.30]"
    ]  # fmt: skip
    assert "n = 4 processes a case" in recipes_doc.text(answers)
    written = {row[1].strip("`").split("=")[0] for row in table[2:]}
    default, tuned = (FRAMEWORKS["jax"].recipe(name, "cpu").choices for name in ("default", "tuned"))
    assert written == {name for name, value in tuned.items() if value != default[name]}


def test_what_is_compared_stands_beside_what_it_takes_to_start(answers: dict[str, Any]) -> None:
    text = recipes_doc.text(answers)
    (xception, *_) = [row for row in rows(text, "The whole of it") if row[:2] == ["PyTorch", "Xception"]]
    assert xception[2:5] == ["40 [40, 40]", "80 [80, 80]", "2.00 [2.00, 2.00]"]
    rivals = rows(text, "Beside public implementations, batch 8")
    (timm,) = [row for row in rivals if row[:2] == ["timm.create_model", "default"]]
    assert timm[2:] == ["failed", "–", "failed", "–"]
    assert "timm: failed, torchvision cannot be imported." in text
    assert [row[3] for row in rows(text, "Beside public implementations, one image") if row[1] == "compiled"]


def test_what_a_gpu_reached_stands_cell_by_cell(answers: dict[str, Any]) -> None:
    records = [taken(case) for case in speed_gpu.cases()]
    on_card = answer(speed_gpu.figures(records, calibration("cuda")))
    text = recipes_doc.text({**answers, "speed_gpu": on_card})
    table = rows(text, "On a GPU")
    assert len(table) == 2 + 3 * 2 * 2 * 4
    (cell,) = [row for row in table if row[:4] == ["PyTorch", "Xception", "bf16", "64"]]
    assert cell[4:6] == ["640 [640, 640]", "1,280 [1,280, 1,280]"]
    assert cell[7:] == ["6.00", "4.00"]
    assert "Unmeasured on GPU" not in text
    row = readme.table({"speed_gpu": {**on_card, "sentence": "On a GPU", "met": True}}).splitlines()[2]
    assert "default: x 4.24 on average; against any of its settings: x 3.49 on average, x 2.00 at least" in row


def test_without_a_measurement_nothing_is_claimed() -> None:
    text = recipes_doc.text({})
    assert "images/s" not in text
    assert text.count("not measured yet; `python -m benches.claims recipes` does.") == 3
    assert "Unmeasured on GPU; `python -m benches.claims speed_gpu` does." in text


def test_a_document_without_a_place_is_refused() -> None:
    with pytest.raises(InputError, match="has no place for the recipes"):
        embed("nothing", "text", "recipes")
