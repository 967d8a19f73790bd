"""The page of the spectrum: curves per framework, findings, and costs."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dashboards.content import Page
from tests.dashboards import examples
from tests.dashboards.reading import Pages, blocks, captions, charts, pages_of_run, prose, takeaways
from xibench.record.schema import Case, Record

ALONG = (("segments_1", 2.0), ("segments_3", 1.6), ("default", 0.5))


def case(framework: str, variant: str, **fields: object) -> Case:
    plain = Case(framework=framework, model="xception", variant=variant, recipe="tuned")
    return msgspec.structs.replace(plain, **fields)


def records(framework: str) -> list[Record]:
    found = [examples.ok(case(framework, variant), [s, s, s]) for variant, s in ALONG]
    alone = case(framework, "segments_3", scenario="single-stream", batch=1)
    return [*found, examples.ok(alone, [0.2, 0.21, 0.22] * 4)]


@pytest.fixture(scope="module")
def spectrum(tmp_path_factory: pytest.TempPathFactory) -> Page:
    made = [*records("pytorch"), *records("jax")]
    head = examples.header([r.case for r in made], preset=None)
    return pages_of_run(tmp_path_factory.mktemp("spectrum"), head, made, examples.calibration())["spectrum"]


def test_each_framework_has_a_line_over_the_segments(spectrum: Page) -> None:
    throughput = charts(spectrum)[2]
    assert [t["name"] for t in throughput["data"]] == ["PyTorch tuned", "JAX tuned"]
    assert throughput["layout"]["xaxis"]["ticktext"] == ["1", "3", "C"]
    assert throughput["data"][0]["x"] == [0, 1, 2]
    assert throughput["data"][0]["y"] == pytest.approx([4.0, 5.0, 16.0])


def test_parameters_and_multiply_adds_are_those_of_the_networks(spectrum: Page) -> None:
    parameters, macs = charts(spectrum)[:2]
    (line,) = parameters["data"]
    assert line["y"] == pytest.approx([183.616904, 76.304846, 22.855952])
    assert macs["data"][0]["y"] == pytest.approx([71.419884448, 29.290501948, 8.357403496])


def test_findings_latency_and_the_uneven_split_are_stated(spectrum: Page) -> None:
    assert any(line.startswith("PyTorch tuned") and "8.55-fold" in line for line in takeaways(spectrum))
    assert any(line.startswith("g = 3 ") and "243 + 243 + 242" in line for line in captions(spectrum))
    assert "Latency of one image along g" in [block.title for block in blocks(spectrum)]


def test_the_caption_of_the_latency_describes_the_single_image_cases(spectrum: Page) -> None:
    (block,) = [block for block in blocks(spectrum) if block.title == "Latency of one image along g"]
    caption = " ".join(map(str, block.caption))
    assert "tuned, one image at a time, fp32, 299 px, CPU. n = 1 process and 12 timed steps per case" in caption
    assert "batch 8" not in caption


def test_without_ceilings_there_is_no_chart_of_the_attained_fraction(tmp_path: Path) -> None:
    made = [examples.without_ceilings(record) for record in records("jax")]
    page = pages_of_run(tmp_path, examples.header([r.case for r in made], preset=None), made)["spectrum"]
    titles = [block.title for block in blocks(page)]
    assert "Images per second along g" in titles
    assert "Attained fraction of the roofline along g" not in titles
    assert any("ceilings were switched off" in line for line in takeaways(page))


def test_runs_without_a_spectrum_name_the_command_that_measures_one(varied: Pages) -> None:
    assert any("`xibench spectrum`" in line for line in prose(varied["spectrum"]))
    assert charts(varied["spectrum"]) == []


def test_a_figure_in_parentheses_is_a_hollow_point_from_which_nothing_is_concluded(tmp_path: Path) -> None:
    made = records("pytorch")
    made[0] = examples.disturb(made[0], 0)
    page = pages_of_run(tmp_path, examples.header([r.case for r in made]), made, examples.calibration())["spectrum"]
    throughput = charts(page)[2]
    assert throughput["data"][0]["marker"]["symbol"] == ["diamond-open", "diamond", "diamond"]
    (sentence,) = [line for line in takeaways(page) if "throughput is" in line]
    assert "from g = 3 to g = C" in sentence
    assert "Not ranked, because others took too much of the cores: g = 1." in sentence
