"""A framework of a user's own: its descriptor, registered when XIBENCH_PLUGINS names this module."""

from __future__ import annotations

from frameworks.api import Framework, register
from frameworks.recipes import Choice, Setting

register(
    Framework(
        name="abacus",
        label="Abacus",
        what="a toy framework on the reference's layers",
        colour=("#8a5a00", "#d9a441"),
        program="toy_program",
        module="numpy",
        install="pip install numpy",
        distributions=("numpy",),
        choices={"beads": Choice({"wooden": Setting("wooden beads", "as in the manual")})},
    )
)
