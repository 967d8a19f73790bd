"""The steps of a nightly job around its measurements: what is kept from night to night, and what is reported.

`make nightly` and .github/workflows/nightly.yml run the same steps. Results are kept on a branch of the repository, so
that every night knows all nights before it; CI machines lose everything else.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
KEPT: Final = ("asv", "runs", "confirmations.jsonl")
"""What is kept of results/. Notes and references are committed with the code."""
BRANCH: Final = "benchmarks"
REGRESSION, UNDECIDED = 3, 4  # exit codes of `xibench history`


def restore(results: Path, branch: str, remote: str | None) -> list[str]:
    """Copy what earlier nights kept into the results, without replacing a file that is there.

    Args:
        results: The folder results/.
        branch: The branch of the results.
        remote: Where the branch is fetched from; None: the local one.

    Returns:
        The names of the files that were copied; none if there is no such branch.
    """
    if remote and _git("fetch", "--quiet", remote, f"+refs/heads/{branch}:refs/heads/{branch}", check=False).returncode:
        return []
    if _git("rev-parse", "--quiet", "--verify", f"refs/heads/{branch}", check=False).returncode:
        return []
    content = _git("archive", "--format=tar", f"refs/heads/{branch}").stdout
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        missing = [member for member in archive if member.isfile() and not (results / member.name).exists()]
        archive.extractall(results, missing, filter="data")
    return [member.name for member in missing]


def keep(results: Path, branch: str, remote: str | None) -> str:
    """Commit the results to their branch, without touching the working tree; files of earlier nights stay in it.

    Args:
        results: The folder results/.
        branch: The branch of the results.
        remote: Where the branch is pushed to; None: nowhere.

    Returns:
        The commit.
    """
    ref = f"refs/heads/{branch}"
    parent = _git("rev-parse", "--quiet", "--verify", ref, check=False).stdout.decode().strip()
    with tempfile.TemporaryDirectory() as scratch:
        index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        if parent:
            _git("read-tree", parent, variables=index)
        present = [name for name in KEPT if (results / name).exists()]
        if present:
            add = [f"--work-tree={results}", "add", "--force", "--ignore-removal", "--", *present]
            _git(*add, variables=index, cwd=results)
        tree = _git("write-tree", variables=index).stdout.decode().strip()
    measured = _git("rev-parse", "--short", "HEAD").stdout.decode().strip()
    parents = ["-p", parent] if parent else []
    commit = _git("commit-tree", tree, *parents, "-m", f"Results of {measured}").stdout.decode().strip()
    _git("update-ref", ref, commit)
    if remote:
        _git("push", "--quiet", remote, f"{ref}:{ref}")
    return commit


def history(site: Path, arguments: Sequence[str]) -> int:
    """Run `xibench history` and write what it finds beside the site: history.json, history.md and an Atom feed.

    Args:
        site: The folder of the site.
        arguments: Of `xibench history`, such as its sources and --confirm.

    Returns:
        0, also for a confirmed regression, which `tell` reports once the results are kept; else the code of the error.
    """
    site.mkdir(parents=True, exist_ok=True)
    program = [sys.executable, "-m", "xibench", "history"]
    found = subprocess.run(
        [*program, *arguments, "--atom", str(site / "history.xml"), "--json"], stdout=subprocess.PIPE, check=False
    )
    if found.returncode not in (0, REGRESSION, UNDECIDED):
        return found.returncode
    (site / "history.json").write_bytes(found.stdout)
    sources = [argument for argument in arguments if argument != "--confirm"]
    text = subprocess.run([*program, *sources, "--markdown"], stdout=subprocess.PIPE, check=False).stdout
    (site / "history.md").write_bytes(text)
    return 0


def tell(site: Path, issue: bool) -> int:
    """Print what the history found; open an issue for each confirmed regression that has none.

    Args:
        site: The folder with the files of `history`.
        issue: Whether to open issues, with the program gh.

    Returns:
        REGRESSION if one is confirmed, else 0: an undecided change is no failure of the night.
    """
    text = (site / "history.md").read_text()
    print(text)
    regressions = confirmed(json.loads((site / "history.json").read_text()))
    for title in regressions if issue else ():
        asked = ["gh", "issue", "list", "--state", "all", "--search", f'in:title "{title}"', "--json", "number"]
        if json.loads(subprocess.check_output(asked)):
            continue
        subprocess.run(["gh", "issue", "create", "--title", title, "--body-file", str(site / "history.md")], check=True)
    return REGRESSION if regressions else 0


def confirmed(found: Mapping[str, Any]) -> list[str]:
    """Return a title for each commit with a confirmed regression, from the document of `xibench history --json`."""
    commits: dict[str, list[str]] = {}
    for each in found["series"]:
        for change in each["changes"]:
            if change["state"] == "confirmed" and change["ratio"] > 1 and not change["muted"]:
                commit = change["confirmation"]["commit"] or change["first"]["commit"]
                commits.setdefault(commit, []).append(each["key"]["name"])
    return [f"Slower since {commit[:10]}: {len(names)} series" for commit, names in commits.items()]


def _git(
    *arguments: str, check: bool = True, variables: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[bytes]:
    git_dir = subprocess.check_output(["git", "rev-parse", "--absolute-git-dir"], cwd=ROOT, text=True).strip()
    identity = ["-c", "user.name=xibench nightly", "-c", "user.email=nightly@example.invalid"]
    done = subprocess.run(
        ["git", *identity, f"--git-dir={git_dir}", *arguments],
        cwd=cwd, env={**os.environ, **(variables or {})}, capture_output=True, check=False,
    )  # fmt: skip
    if check and done.returncode:
        raise SystemExit(f"nightly: git {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done


def main() -> int:
    """Run a step of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benches.nightly", description=__doc__)
    parser.add_argument("step", choices=("restore", "history", "keep", "tell"))
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="the folder of the results")
    parser.add_argument("--site", type=Path, default=ROOT / "site", help="the folder of the site")
    parser.add_argument("--branch", default=BRANCH, help="the branch of the results")
    parser.add_argument("--remote", help="where the branch is fetched from and pushed to; left out: nowhere")
    parser.add_argument("--issue", action="store_true", help="tell: open an issue for a confirmed regression, with gh")
    given, others = parser.parse_known_args()
    if others and given.step != "history":
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    if given.step == "restore":
        print(f"restored {len(restore(given.results, given.branch, given.remote))} files of {given.branch}")
    elif given.step == "keep":
        print(f"kept in {given.branch}: {keep(given.results, given.branch, given.remote)[:10]}")
    elif given.step == "history":
        return history(given.site, others)
    else:
        return tell(given.site, given.issue)
    return 0


if __name__ == "__main__":
    sys.exit(main())
