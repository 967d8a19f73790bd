from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import ROOT, error_of, xibench, xibench_process
from tests.starting import HEAVY, cpu_time_over_bare, imported
from xibench.cli import app

COMMANDS = [
    "doctor", "list", "cost", "verify", "run", "show", "compare", "ab", "history", "tune", "spectrum", "paper",
    "weights", "report", "export",
]  # fmt: skip


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["cost", "xception", "--json"]])
def test_no_framework_and_nothing_heavy_is_imported_for(arguments: list[str]) -> None:
    code = f"from xibench.cli.app import call; call({arguments!r})"
    assert not imported(code) & HEAVY


@pytest.mark.alone
def test_help_takes_at_most_a_few_times_as_long_as_a_bare_typer_application() -> None:
    assert cpu_time_over_bare("from xibench.cli.app import call; call(['--help'])") < 5


def test_help_lists_the_commands_in_order_of_use(tmp_path: Path) -> None:
    listed = xibench("--help", cwd=tmp_path).stdout.partition("Commands:\n")[2]
    assert [line.split()[0] for line in listed.splitlines()] == COMMANDS


def test_every_file_of_a_command_is_listed() -> None:
    files = {path.stem for path in (ROOT / "xibench/cli/commands").glob("*.py")} - {"__init__"}
    assert files == set(app.COMMANDS)


def test_help_names_the_scenario_of_a_plugin(tmp_path: Path) -> None:
    (tmp_path / "lab.py").write_text(
        "import dataclasses\nfrom xibench.scenarios import OFFLINE, register\n"
        "register(dataclasses.replace(OFFLINE, name='bursts'))\n"
    )
    done = xibench_process("run", "--help", cwd=tmp_path, XIBENCH_PLUGINS="lab", PYTHONPATH=f"{ROOT}:{tmp_path}")
    assert "bursts" in done.stdout


@pytest.mark.parametrize("command", [[name] for name in COMMANDS if name != "weights"] + [["weights", "init"]])
def test_the_help_of_every_command_has_an_example(command: list[str], tmp_path: Path) -> None:
    done = xibench(*command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert f"Example:  xibench {' '.join(command)}" in done.stdout


def test_without_a_command_the_help_is_shown(tmp_path: Path) -> None:
    assert xibench(cwd=tmp_path).stdout == xibench("--help", cwd=tmp_path).stdout


def test_the_version_is_printed(tmp_path: Path) -> None:
    from xibench import __version__

    assert xibench("--version", cwd=tmp_path).stdout == f"xibench {__version__}\n"


def test_an_unknown_command_is_refused_and_the_nearest_is_suggested(tmp_path: Path) -> None:
    line = error_of("veryfi", cwd=tmp_path, code=2)
    assert "'veryfi'" in line
    assert "'verify'" in line


def test_an_unknown_option_is_refused_and_the_nearest_is_suggested(tmp_path: Path) -> None:
    line = error_of("run", "--bach", "3", cwd=tmp_path, code=2)
    assert "--bach" in line
    assert "--batch" in line
    assert "`xibench run --help`" in line


def test_a_missing_argument_is_named(tmp_path: Path) -> None:
    assert "MODEL" in error_of("cost", cwd=tmp_path, code=2)


def test_an_unexpected_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("frameworks.cost.cost", break_down)
    with pytest.raises(RuntimeError, match="a defect"):
        app.call(["cost", "xception"])


def test_ctrl_c_in_any_command_is_one_line(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("frameworks.cost.cost", interrupt)
    assert app.call(["cost", "xception"]) == 130
    assert capfd.readouterr() == ("", "xibench: interrupted\n")


def test_ctrl_c_while_the_command_line_is_imported_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    command = [sys.executable, "-m", "xibench", "list"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "xibench: interrupted\n")


def test_a_table_can_be_printed_to_an_ascii_output(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "xibench", "cost", "xception"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "8,357,403,496" in done.stdout


def test_marks_can_be_distinguished_where_the_output_is_ascii(tmp_path: Path) -> None:
    code = "from xibench.cli import app; app.call = lambda: print('† ‡ § ¶ – ± 漢'); app.main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "(1) (2) (3) (4) - +- ?\n"


def test_a_closed_pipe_causes_no_traceback(tmp_path: Path) -> None:
    command = f"{sys.executable} -m xibench cost xception --layers --json | head -1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "{\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("run xception", "names belong to options (--framework, --model); several values of an option are joined by"),
        ("run -f pytorch jax", "several values of an option are joined by commas"),
        ("ab pytorch jax", "names belong to options"),
        ("ab --sides framework:jax framework:pytorch", "several values of an option are joined by commas"),
        ("cost -m xception", "the model is given without an option: `xibench cost xception`"),
        ("cost --run latest xception", "no run file in"),
    ],
)
def test_a_newcomers_mistake_is_answered_with_what_to_type(arguments: str, said: str, tmp_path: Path) -> None:
    assert said in error_of(*arguments.split(), cwd=tmp_path, code=2)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", ["cost xception", "cost xception --json", "list --json"])
def test_a_full_disk_under_stdout_is_one_line(arguments: str, tmp_path: Path) -> None:
    command = f"{sys.executable} -m xibench {arguments} > /dev/full"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("xibench: the output cannot be written: no space left")
    assert done.stderr.count("\n") == 1
