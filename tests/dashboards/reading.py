"""What a built page holds, as its reader and as its charts see it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dashboards.build import build
from tests.dashboards import examples
from xibench.record.schema import Calibration, Header, Record


def text_of(page: Path) -> str:
    """What a reader reads: without scripts and tags, entities resolved."""
    body = re.sub(r"<script.*?</script>", " ", page.read_text(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def figures(page: Path) -> list[dict[str, Any]]:
    found = re.findall(r'<script type="application/json">(.*?)</script>', page.read_text(), flags=re.DOTALL)
    return [json.loads(text) for text in found]


def site_of(folder: Path, head: Header, records: Sequence[Record], *calibrations: Calibration) -> Path:
    """The folder of a site built from one run."""
    return build([examples.write(folder / "run.jsonl", head, records, *calibrations)], folder / "site").parent


def site_of_records(folder: Path, *records: Record) -> Path:
    """The folder of a site built from a run that planned just these records and measured ceilings."""
    return site_of(folder, examples.header([r.case for r in records]), records, examples.calibration())
