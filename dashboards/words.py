"""Names, statuses and times as the site's readers see them; figures: `xibench.record.format`."""

from __future__ import annotations

import html
from datetime import UTC, datetime
from typing import Final

from frameworks.api import IMPLEMENTATIONS

_NAMES: Final = {
    "xception": "Xception", "inception_v3": "Inception V3", "resnet50": "ResNet-50", "resnet101": "ResNet-101",
    "resnet152": "ResNet-152", "vgg16": "VGG-16",
    "default": "default", "compiled": "compiled", "tuned": "tuned",
    "cpu": "CPU", "cuda": "CUDA",
}
_STATUSES: Final = {
    "ok": "ok", "out_of_memory": "out of memory", "timeout": "time limit reached", "failed": "failed",
    "unsupported": "unsupported",
}


def name(identifier: str) -> str:
    """A framework's, network's or recipe's name in its owners' spelling; unknown ones as they are."""
    if identifier in IMPLEMENTATIONS:
        return IMPLEMENTATIONS[identifier].label
    return _NAMES.get(identifier, identifier)


def status(identifier: str) -> str:
    """A status in words."""
    return _STATUSES.get(identifier, identifier)


def moment(iso: str) -> str:
    """`2026-01-01 12:00 UTC` of an ISO 8601 time; anything else as it is."""
    try:
        return f"{datetime.fromisoformat(iso).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return iso


def chart_text(text: str) -> str:
    """Text that Plotly shows as it stands: its labels understand a little HTML."""
    return html.escape(text, quote=False)
