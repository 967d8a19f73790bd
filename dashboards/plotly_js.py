"""Plotly's script, from the installed package. The one place that imports plotly, which has no types."""

from __future__ import annotations

from xibench.errors import XibenchError


def plotly_script() -> str:
    """The text of plotly.min.js. Raises XibenchError if plotly is not installed."""
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise XibenchError("the site cannot be built: plotly is not installed; pip install plotly") from error
    script: str = get_plotlyjs()
    return script
