"""One question each: a module that makes figures and tables from a site, and one line here."""

from __future__ import annotations

from typing import Final

from dashboards.pages import (
    accuracy,
    batch,
    costs,
    energy,
    further,
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
    spectrum.PAGE, accuracy.PAGE, settings.PAGE, further.PAGE,
)  # fmt: skip
"""Every page in the order of the navigation; the first is the site's index."""
