from __future__ import annotations

import pytest

from tests.wording import LIST, found, read

RULES, EXCEPTIONS = read("""
# a comment
Lookout -> ConditionMonitor
least_* -> min_*
set_aside -> superseded
matrix product -> matmul

except xibench/record/migrate: set_aside
""")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("class Lookout:", 1), ("lookout = Lookout2()", 0), ("least_pairs", 1), ("at_least_pairs = least", 0),
        ("a matrix\n    # product of", 1), ("A Matrix product", 1), ("a product of matrices", 0),
    ],
)  # fmt: skip
def test_whole_names_and_sentences_across_line_ends_are_found(text: str, count: int) -> None:
    assert len(list(found("a.py", text, RULES, EXCEPTIONS))) == count


def test_a_finding_has_its_place_and_the_replacement() -> None:
    (line,) = found("docs/a.md", "first\nleast_pairs\n", RULES, EXCEPTIONS)
    assert line == "docs/a.md:2: 'least_pairs' is no longer used: min_*"


def test_a_name_is_allowed_below_the_path_of_an_exception() -> None:
    assert list(found("xibench/record/migrate.py", "set_aside", RULES, EXCEPTIONS)) == []
    assert len(list(found("xibench/record/store.py", "set_aside", RULES, EXCEPTIONS))) == 1


def test_every_rule_of_the_list_has_a_replacement() -> None:
    rules, _ = read(LIST.read_text())
    assert rules
    assert all(rule.old and rule.use for rule in rules)
