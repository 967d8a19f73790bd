from __future__ import annotations

from dashboards import words


def test_markup_is_text_in_a_chart() -> None:
    assert words.chart_text("<b>&") == "&lt;b&gt;&amp;"
