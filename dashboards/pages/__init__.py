"""The registry of pages: each page answers one question; a new page is a module and one line here."""

from __future__ import annotations

from typing import Final

from dashboards.pages import (
    accuracy,
    batch,
    comparisons,
    costs,
    energy,
    further,
    history,
    latency,
    memory,
    overview,
    settings,
    spectrum,
    startup,
)
from dashboards.site import PageKind

PAGES: Final[tuple[PageKind, ...]] = (
    overview.PAGE, batch.PAGE, latency.PAGE, startup.PAGE, memory.PAGE, energy.PAGE, costs.PAGE,
    spectrum.PAGE, accuracy.PAGE, comparisons.PAGE, history.PAGE, settings.PAGE, further.PAGE,
)  # fmt: skip
"""Every page in navigation order; the first one is the index."""
