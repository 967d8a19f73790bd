from __future__ import annotations

import msgspec

from tests.builders import small_case
from xibench.cli.render import terminal


def test_a_case_is_named_by_its_options_and_its_scenario_unless_it_is_offline() -> None:
    case = small_case()
    assert terminal.case_name(case) == "pytorch xception/narrow default fp32 batch 1 75 px cpu"
    assert terminal.case_name(msgspec.structs.replace(case, scenario="server")).endswith("75 px cpu server")
