"""The page of the spectrum: curves per framework, what they say, and the costs beneath them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.dashboards import examples
from tests.dashboards.reading import figures, site_of, text_of
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
def spectrum(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = [*records("pytorch"), *records("jax")]
    head = examples.header([r.case for r in made], preset=None)
    return site_of(tmp_path_factory.mktemp("spectrum"), head, made, examples.calibration()) / "spectrum.html"


def test_a_line_per_framework_goes_along_the_segments(spectrum: Path) -> None:
    throughput = figures(spectrum)[2]
    assert [t["name"] for t in throughput["data"]] == ["PyTorch tuned", "JAX tuned"]
    assert throughput["layout"]["xaxis"]["ticktext"] == ["1", "3", "C"]
    assert throughput["data"][0]["x"] == [0, 1, 2]
    assert throughput["data"][0]["y"] == pytest.approx([4.0, 5.0, 16.0])


def test_parameters_and_multiply_adds_are_those_of_the_networks(spectrum: Path) -> None:
    parameters, macs = figures(spectrum)[:2]
    (line,) = parameters["data"]
    assert line["y"] == pytest.approx([183.616904, 76.304846, 22.855952])
    assert macs["data"][0]["y"] == pytest.approx([71.419884448, 29.290501948, 8.357403496])


def test_findings_latency_and_the_uneven_split_are_told(spectrum: Path) -> None:
    text = text_of(spectrum)
    assert "PyTorch tuned at the paper's widths: from g = 1 to g = C multiply-adds fall 8.55-fold" in text
    assert "g = 3 at the paper's widths: the segments do not divide every width (728 in 3 is 243 + 243 + 242)" in text
    assert "Latency of one image along g" in text
    assert "What happens along the spectrum" in text


def test_the_latencys_caption_is_of_the_cases_of_one_image(spectrum: Path) -> None:
    after = text_of(spectrum).split("Latency of one image along g")[1].split("Peak memory along g")[0]
    assert "tuned, one image at a time, fp32, 299 px, CPU. n = 1 process and 12 timed steps per case" in after
    assert "batch 8" not in after


def test_without_ceilings_there_is_no_chart_of_what_is_attained(tmp_path: Path) -> None:
    made = [examples.without_ceilings(record) for record in records("jax")]
    text = text_of(site_of(tmp_path, examples.header([r.case for r in made], preset=None), made) / "spectrum.html")
    assert "Images per second along g" in text
    assert "Attained fraction of the roofline along g" not in text
    assert "Nothing can be said of what is attained: ceilings were switched off." in text


def test_runs_without_a_spectrum_say_how_one_is_measured(site: Path) -> None:
    assert "xibench spectrum" in text_of(site / "spectrum.html")
    assert figures(site / "spectrum.html") == []
