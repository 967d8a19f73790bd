"""Display names of frameworks, networks, recipes, statuses and times. Figures: `xibench.record.format`."""

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
    """The display name of a framework, network, recipe or device; an unknown identifier is returned unchanged."""
    if identifier in IMPLEMENTATIONS:
        return IMPLEMENTATIONS[identifier].label
    return _NAMES.get(identifier, identifier)


def status(identifier: str) -> str:
    """The display name of a status; an unknown one is returned unchanged."""
    return _STATUSES.get(identifier, identifier)


def moment(iso: str) -> str:
    """`2026-01-01 12:00 UTC` from an ISO 8601 time; any other text is returned unchanged."""
    try:
        return f"{datetime.fromisoformat(iso).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return iso


def chart_text(text: str) -> str:
    """Escape text for Plotly, whose labels interpret a subset of HTML."""
    return html.escape(text, quote=False)
