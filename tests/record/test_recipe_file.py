from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import small_case
from xibench.errors import InputError, StoreError
from xibench.record.recipe_file import FORMAT, Gain, RecipeFile, read, write

FOUND = RecipeFile(
    format=FORMAT, xibench="0.4", created_utc="2026-11-25T00:00:00+00:00", framework="pytorch",
    recipe="default+layout=NHWC", case=small_case(), machine="m", environment="e", batch=16,
    gains=[Gain(over="tuned", ratio=1.1, low=1.0, high=1.2, processes=5)], runs=["01-start.jsonl"],
)  # fmt: skip


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    write(tmp_path / "new" / "recipe.json", FOUND)
    assert read(tmp_path / "new" / "recipe.json") == FOUND
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["recipe.json"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not one"),
        ('{"recipe": "tuned"}', "is not one: Object missing required field"),
    ],
)
def test_what_is_no_recipe_file_is_said_with_what_would_be(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "recipe.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=f"recipe file .*{said}.*expected a file that `xibench tune` wrote"):
        read(path)


def test_a_file_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be written: .*; name another with --out"):
        write(tmp_path / "file" / "recipe.json", FOUND)
