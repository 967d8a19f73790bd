from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import plotly.graph_objects as go
import pytest

from dashboards.build import build, script_json
from dashboards.pages.overview import NO_GPU
from tests.dashboards import examples
from tests.dashboards.reading import (
    Pages,
    captions,
    figures,
    pages_of_files,
    pages_of_records,
    prose,
    rows,
    takeaways,
    text_of,
)
from xibench.errors import NewerFormat, StoreError, UsageError
from xibench.record.schema import FORMAT_VERSION, Case, InputImages, Memory

PAGES = (
    "index", "batch", "latency", "startup", "memory", "energy", "costs", "spectrum", "accuracy", "settings",
)  # fmt: skip
EVIL = "<img src=x onerror=alert(1)></script>&\"'"


class Links(HTMLParser):
    """Return the links of a page, and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.targets.append(value)
            if value and name == "id":
                self.anchors.add(value)


def parse(page: Path) -> Links:
    links = Links()
    links.feed(page.read_text())
    return links


def test_build_returns_the_index_and_writes_all_pages(site: Path) -> None:
    assert sorted(path.stem for path in site.glob("*.html")) == sorted(PAGES)
    assert "plotly" in (site / "static" / "plotly.min.js").read_text()[:300]


@pytest.mark.parametrize("name", PAGES)
def test_every_link_and_anchor_resolves(site: Path, name: str) -> None:
    for target in parse(site / f"{name}.html").targets:
        if target.startswith(("https://", "data:")):
            continue
        file, _, anchor = target.partition("#")
        page = site / unquote(file) if file else site / f"{name}.html"
        assert page.is_file(), target
        assert not anchor or anchor in parse(page).anchors, target


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_loaded_from_elsewhere(site: Path, name: str) -> None:
    text = (site / f"{name}.html").read_text()
    assert not re.search(r'(?:src|<link[^>]*href)="(?:https?:)?//', text)
    assert "url(" not in (site / "static" / "site.css").read_text()


@pytest.mark.parametrize("name", PAGES)
def test_every_figure_is_one_that_plotly_knows_and_names_its_axes(site: Path, name: str) -> None:
    for figure in figures(site / f"{name}.html"):
        go.Figure(figure)  # raises ValueError for a property or value that Plotly does not have
        assert figure["layout"]["xaxis"]["title"]["text"]


def test_the_takeaway_is_computed_from_the_run(tmp_path: Path) -> None:
    fast, slow = examples.matrix(batch=8)[:2]
    records = [examples.several(case, [step] * 4, [step] * 4) for case, step in ((fast, 0.5), (slow, 1.0))]
    (sentence,) = takeaways(pages_of_records(tmp_path, *records)["index"])
    expected = "PyTorch default is fastest on Xception: 16.0 [16.0, 16.0] images/s, 2.0× the next, TensorFlow default"
    assert sentence.startswith(expected)


def test_a_case_whose_interval_overlaps_the_best_is_named_as_one_that_may_be_as_fast(tmp_path: Path) -> None:
    one, other, slow = examples.matrix()[:3]
    records = [
        examples.several(one, [1.0] * 4, [1.1] * 4), examples.several(other, [1.05] * 4, [1.15] * 4),
        examples.several(slow, [99.0] * 4, [99.1] * 4),
    ]  # fmt: skip
    (sentence,) = takeaways(pages_of_records(tmp_path, *records)["index"])
    assert sentence.startswith("PyTorch default has the highest median on Xception")
    assert "not certain to be faster than TensorFlow default (" in sentence
    assert "JAX default (0." not in sentence
    assert "is fastest" not in sentence


def test_one_process_is_too_few_to_call_a_winner(tmp_path: Path) -> None:
    one, other = examples.matrix()[:2]
    records = [examples.ok(one, [1.0] * 9), examples.ok(other, [2.0] * 9)]
    (sentence,) = takeaways(pages_of_records(tmp_path, *records)["index"])
    assert "one process per case" in sentence
    assert "is fastest" not in sentence


def test_captions_state_hardware_versions_and_n(varied: Pages) -> None:
    for name in ("index", "latency", "memory"):
        text = " ".join(captions(varied[name]))
        assert "Example CPU 9000 @ 2.60GHz, 2 usable of 4 logical cores, 8.0 GiB" in text
        assert "n = 1 process and 30 timed steps per case" in text
        for version in ("torch 2.13.0+cpu", "tensorflow 2.21.0", "jax 0.10.2"):
            assert version in text


def test_a_case_without_a_result_is_listed_with_its_reason_and_keeps_its_row(site: Path, varied: Pages) -> None:
    found = {case: (status, reason) for case, status, reason in rows(varied["index"], "Case", "Status", "Reason")}
    assert len(found) == 4
    assert found["PyTorch compiled, Xception"] == (
        "unsupported", "pytorch: no C++ compiler for inductor; apt install g++"
    )
    assert found["JAX compiled, Xception"] == ("time limit reached", "stopped after 600 s during compile")
    assert found["JAX default, Inception V3"] == ("out of memory", "killed by the kernel while it built the network")
    assert found["JAX tuned, Inception V3"][0] == "not run"
    notes = [a["text"].strip() for a in figures(site / "index.html")[0]["layout"]["annotations"]]
    assert "unsupported" in notes
    assert "time limit reached" in notes


def test_a_run_without_a_result_builds_and_says_so(empty: Pages, empty_site: Path) -> None:
    assert [section.key for section in empty["index"].sections] == ["nothing", "without-result"]
    assert rows(empty["index"], "Status", "Reason")[0] == ("failed", "worker exited with code 1")
    assert "Illegal instruction" in text_of(empty_site / "index.html")
    for name in ("latency", "memory", "startup"):
        assert [section.key for section in empty[name].sections] == ["nothing"]


def test_a_run_file_with_nothing_but_a_header_builds(tmp_path: Path) -> None:
    build([examples.write(tmp_path / "r.jsonl", examples.header([]), [])], tmp_path / "site")
    pages = pages_of_records(tmp_path)
    assert [section.key for section in pages["index"].sections] == ["nothing"]
    assert [section.key for section in pages["costs"].sections] == ["paper"]


def test_html_in_a_value_is_escaped(tmp_path: Path) -> None:
    good, bad = examples.matrix()[:2]
    head = examples.header(
        [good, bad], run_id=EVIL, command=f"xibench run --images '{EVIL}'",
        environment=examples.environment(cpu_model=EVIL),
        images=InputImages(source=EVIL, files=[EVIL], digest="0", preparation=EVIL),
    )
    records = [
        examples.ok(good, settings={"layout": EVIL}, device_name=EVIL, versions={EVIL: EVIL}),
        examples.refused(bad, "failed", EVIL, log=EVIL),
    ]
    out = build([examples.write(tmp_path / "r.jsonl", head, records)], tmp_path / "site").parent
    for name in PAGES:
        assert "<img" not in (out / f"{name}.html").read_text()
        assert "</script>&" not in (out / f"{name}.html").read_text()
    assert text_of(out / "index.html").count(EVIL) >= 3
    assert text_of(out / "settings.html").count(EVIL) >= 5


def test_data_in_a_page_cannot_end_its_script_element() -> None:
    text = str(script_json({"name": "</script><b>&"}))
    assert not set(text) & set("<>&")
    assert json.loads(text) == {"name": "</script><b>&"}


def test_markup_in_a_framework_name_is_text_in_charts_too(tmp_path: Path) -> None:
    case = examples.matrix()[0]
    odd = type(case)(framework="<b>bold</b>", model="xception")
    record = examples.ok(odd, [1.0, 1.0, 1.0])
    out = build([examples.write(tmp_path / "r.jsonl", examples.header([odd]), [record])], tmp_path / "site").parent
    ticks = figures(out / "index.html")[0]["layout"]["yaxis"]["ticktext"]
    assert ticks == ["&lt;b&gt;bold&lt;/b&gt;"]


def test_published_accuracies_carry_label_and_source(site: Path) -> None:
    text = text_of(site / "accuracy.html")
    assert "Every accuracy on this page is published" in text
    assert "not measured by xibench" in text
    assert "Weights (published)" in text
    assert re.search(r"Keras Xception 79\.01 94\.45 299 px 22,855,952 8,357,403,496 .* keras-applications README", text)
    for figure in figures(site / "accuracy.html"):
        assert "published" in figure["layout"]["yaxis"]["title"]["text"]


def test_a_substitution_is_marked_and_explained(varied: Pages) -> None:
    (note,) = {line for line in captions(varied["index"]) if line.startswith("†")}
    assert note.endswith(": TensorFlow tuned on Xception at batch 8, bf16.")
    assert ("bf16 matrix units (AMX)", "bf16 emulated in float32", "this CPU has no AMX") in rows(
        varied["settings"], "Requested", "Ran instead", "Reason"
    )


def test_differing_settings_are_named_where_speeds_are_compared(varied: Pages) -> None:
    assert any("differ between frameworks" in line and "layout" in line for line in prose(varied["index"]))
    columns = ("Setting", "Recipe", "Networks", "PyTorch", "TensorFlow", "JAX")
    assert ("layout", "default", "Xception", "NCHW", "NHWC", "NHWC") in rows(varied["settings"], *columns)


def test_the_site_contains_the_run_file_with_its_hash_and_command(site: Path) -> None:
    (copy,) = (site / "runs").iterdir()
    text = text_of(site / "settings.html")
    assert copy.name.removesuffix("-varied.jsonl") in text
    assert "xibench run --preset quick" in text
    for figures_of_sampling in (
        "1 process per case", "up to 1 repetition of", "2 to 50 warm-up steps", "10 s", "5 to 200 timed steps",
        "below 1 %",
    ):
        assert figures_of_sampling in text


def test_an_incomplete_last_line_is_reported(tmp_path: Path) -> None:
    head, records = examples.varied()
    path = examples.write(tmp_path / "r.jsonl", head, records)
    path.write_bytes(path.read_bytes()[:-20])
    assert any("truncated" in line for line in prose(pages_of_files(path)["settings"]))


def test_runs_of_several_machines_are_kept_apart(tmp_path: Path) -> None:
    head, records = examples.varied()
    first = examples.write(tmp_path / "one" / "r.jsonl", head, records)
    other = examples.header(head.plan, "another-run", environment=examples.environment(cpu_model="Other CPU"))
    second = examples.write(tmp_path / "two" / "r.jsonl", other, records)
    out = build([first, second, first], tmp_path / "site").parent
    assert len(list((out / "runs").iterdir())) == 2
    assert text_of(out / "index.html").count("Images per second") == 4
    assert "Other CPU" in text_of(out / "index.html")


def test_device_memory_is_drawn_where_there_is_some_and_explained_where_not(varied: Pages, tmp_path: Path) -> None:
    assert any(line.startswith("No device memory figure: these cases ran on") for line in prose(varied["memory"]))
    case = examples.matrix(device="cuda")[0]
    memory = Memory(
        host_baseline_bytes=1, host_peak_bytes=2**20, host_method="VmHWM", device_peak_allocated_bytes=700 * 2**20
    )
    record = examples.ok(case, memory=memory)
    assert rows(pages_of_records(tmp_path, record)["memory"], "Device, allocated") == [("700 MiB",)] * 2  # per figure


def test_a_site_without_a_gpu_says_that_recipes_are_unmeasured_on_one(varied: Pages, tmp_path: Path) -> None:
    assert NO_GPU in varied["index"].intro
    run = examples.write(tmp_path / "card.jsonl", *examples.card())
    assert NO_GPU not in pages_of_files(run)["index"].intro


def test_a_missing_run_file_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run file given: a site needs at least one"):
        build([], tmp_path / "site")


def test_a_newer_run_file_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    head = examples.header([], format_version=FORMAT_VERSION + 1)
    with pytest.raises(NewerFormat):
        build([examples.write(tmp_path / "r.jsonl", head, [])], tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("a file in the way")
    with pytest.raises(StoreError, match=r"site .*site cannot be written: .*; name another folder"):
        build([examples.write(tmp_path / "r.jsonl", *examples.varied())], tmp_path / "site")


def test_third_party_implementations_and_recipes_with_explicit_choices_are_shown(tmp_path: Path) -> None:
    cases = [
        Case(framework=framework, model="xception", recipe=recipe)
        for framework, recipe in (
            ("jax", "default"), ("jax", "tuned+pools=windows"), ("keras-jax", "default"), ("timm", "compiled"),
        )
    ]  # fmt: skip
    records = [examples.ok(case, [0.5] * 6) for case in cases]
    run = examples.write(tmp_path / "run.jsonl", examples.header(cases), records)
    index = build([run], tmp_path / "site")
    text = text_of(index)
    assert "Keras on JAX" in text
    assert "tuned+pools=windows" in text
    assert sorted(path.stem for path in index.parent.glob("*.html")) == sorted(PAGES)
