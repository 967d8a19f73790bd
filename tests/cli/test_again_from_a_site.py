"""The command that the page Settings shows for a bar, with the run file that a visitor downloads from there."""

from __future__ import annotations

import html
import re
import shlex
import shutil
from pathlib import Path

from tests.cli.command import ROOT, xibench

RUN = ROOT / "results/reference/amd-epyc-avx512-2c/quick.jsonl"


def test_the_command_that_reproduces_a_bar_runs_as_shown_beside_the_downloaded_file(tmp_path: Path) -> None:
    assert xibench("report", RUN, "--out", "site", cwd=tmp_path).returncode == 0
    page = (tmp_path / "site/settings.html").read_text()
    (command,) = re.findall(r"xibench (run --again [^<]+)", html.unescape(page))
    (link,) = set(re.findall(r'href="(runs/[^"]+\.jsonl)"', page))
    shutil.copy(tmp_path / "site" / link, tmp_path)
    done = xibench(*shlex.split(command), "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "It takes about" in done.stdout
