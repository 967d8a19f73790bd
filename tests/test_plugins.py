from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.command import error_of, xibench_process
from xibench import plugins
from xibench.errors import UsageError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for plugin modules that is on the import path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("first_plugin", "second_plugin"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


@pytest.mark.parametrize("value", [None, "", " , "])
def test_without_names_nothing_is_imported(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is None:
        monkeypatch.delenv(plugins.VARIABLE, raising=False)
    else:
        monkeypatch.setenv(plugins.VARIABLE, value)
    before = set(sys.modules)
    assert plugins.load() == ()
    assert set(sys.modules) == before


def test_modules_are_imported_once_in_order_of_the_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "plugin_log.py").write_text("imported = []\n")
    for name in ("first_plugin", "second_plugin"):
        (folder / f"{name}.py").write_text("import plugin_log\nplugin_log.imported.append(__name__)\n")
    monkeypatch.setenv(plugins.VARIABLE, "second_plugin, first_plugin")
    assert plugins.load() == ("second_plugin", "first_plugin")
    plugins.load()
    assert sys.modules["plugin_log"].imported == ["second_plugin", "first_plugin"]


@pytest.mark.parametrize("text", ["import no_such_module_here", "1 / 0", "not python"])
def test_a_module_that_cannot_be_imported_is_a_usage_error(
    text: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "first_plugin.py").write_text(text)
    monkeypatch.setenv(plugins.VARIABLE, "first_plugin")
    with pytest.raises(UsageError, match=r"XIBENCH_PLUGINS: module first_plugin .*PYTHONPATH"):
        plugins.load()


def test_a_command_imports_plugins_when_it_starts(folder: Path, tmp_path: Path) -> None:
    (folder / "first_plugin.py").write_text("import sys\nprint('loaded', file=sys.stderr)\n")
    done = xibench_process("--version", cwd=tmp_path, XIBENCH_PLUGINS="first_plugin")
    assert (done.returncode, done.stderr) == (0, "loaded\n")


def test_a_command_with_a_missing_plugin_ends_with_a_one_line_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(plugins.VARIABLE, "no_such_plugin")
    assert "no_such_plugin" in error_of("--version", cwd=tmp_path, code=2)
