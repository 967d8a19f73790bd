"""The marks of tables, charts and documents. There is one registry, so that a mark has one meaning everywhere.

Tables and pages get the marks of a case from `marks_of`. docs/method.md and README.md list the registry, and a test
compares them with it. This module imports neither NumPy nor the schema, because every command imports it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from xibench.record.metrics import Metric
    from xibench.record.summary import Summary


class Mark(msgspec.Struct, frozen=True):
    """A mark: the symbol, its form where the output is ASCII, its meaning, and the cases that have it.

    Attributes:
        applies: Whether a case has it; None for marks of something else than a case.
    """

    symbol: str
    ascii: str
    meaning: str
    applies: Callable[[Summary], bool] | None = None


SUBSTITUTED: Final = Mark(
    "†", "(1)", "something other than the requested setting ran; the note says what, and why",
    lambda summary: bool(summary.substitutions),
)  # fmt: skip
DISTURBED: Final = Mark(
    "‡", "(2)", "a process that counts was disturbed; the note says by what, with figure and limit",
    lambda summary: bool(summary.disturbed),
)  # fmt: skip
UNSTEADY: Final = Mark(
    "§", "(3)", "warm-up ended at a limit, before a trend test found the steps steady",
    lambda summary: summary.unsteady > 0,
)  # fmt: skip
CUT_SHORT: Final = Mark(
    "¶", "(4)", "sampling ended early, because the process was close to its time limit: fewer steps than the stopping "
    "rule asks for",
    lambda summary: summary.cut_short > 0,
)  # fmt: skip
BRACKETED: Final = Mark(
    "( )", "( )", "in parentheses in tables, hollow in charts: others took more than 20 % of the usable cores' time, "
    "so the figure is not ranked",
    lambda summary: summary.bracketed,
)  # fmt: skip
UNLIKE: Final = Mark("*", "*", "`compare`: the two sides differ in the settings that a remark names")
CONTINUES: Final = Mark("▸", ">", "site: an interval continues beyond the axis")
HIGHLIGHTED: Final = Mark("◆", "#", "site: a highlighted table cell, whose tooltip has the reason")
NO_FIGURE: Final = Mark("–", "-", "no figure; where one is to be expected, a note has the reason")

MARKS: Final = (SUBSTITUTED, DISTURBED, UNSTEADY, CUT_SHORT, BRACKETED, UNLIKE, CONTINUES, HIGHLIGHTED, NO_FIGURE)


def marks_of(summary: Summary) -> str:
    """Return the symbols that follow the name or the status of a case, separated by spaces.

    The brackets are not among them, because they enclose figures.
    """
    return " ".join(
        mark.symbol for mark in MARKS if mark.applies and mark is not BRACKETED and mark.applies(summary)
    )


def bracketed(summary: Summary, metric: Metric[Any] | None = None) -> bool:
    """Whether a figure of a case is shown in brackets and not ranked.

    Args:
        summary: The case.
        metric: The figure; None for one that depends on time. Sizes in bytes do not depend on the load of the cores.
    """
    return summary.bracketed and (metric is None or metric.unit != "B")


def shown(text: str, summary: Summary, metric: Metric[Any] | None = None) -> str:
    """Return the text of a figure, enclosed in brackets where it is not ranked."""
    sized = metric is not None and metric.unit == "B"
    return f"({text})" if summary.bracketed and not sized and not text.startswith(NO_FIGURE.symbol) else text
