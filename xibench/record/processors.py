"""Processors by name: virtual machines hide the number, and processors of very unlike speed then share one name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

WIDEST: Final = (("amx_tile", "AMX"), ("avx512f", "AVX512"), ("avx2", "AVX2"), ("sve", "SVE"), ("asimd", "NEON"))


def shown(cpu_model: str, cpu_flags: Sequence[str]) -> str:
    """The processor's name; where it hides its number, with its widest extension: `AMD EPYC (AVX2)`."""
    extension = told_apart_by(cpu_model, cpu_flags)
    return f"{cpu_model} ({extension})" if extension else cpu_model


def told_apart_by(cpu_model: str, cpu_flags: Sequence[str]) -> str:
    """The widest vector or matrix extension of a processor whose name has no number; else nothing."""
    if re.search(r"\d", plain(cpu_model)):
        return ""
    return next((name for flag, name in WIDEST if flag in cpu_flags), "")


def plain(cpu_model: str) -> str:
    """A processor's name without marks, clock and count of cores."""
    return re.sub(r"\((?:r|tm|c)\)|@.*|\b(?:cpu|processor)\b|\b\d+-core\b", " ", cpu_model, flags=re.IGNORECASE)
