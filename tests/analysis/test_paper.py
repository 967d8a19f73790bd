"""The paper's tables as data, and the ratio of throughputs that a run measured for comparison with Table 3."""

from __future__ import annotations

import msgspec
import pytest

from frameworks.architectures import network
from frameworks.cost import cost
from frameworks.paper import SIZE_AND_SPEED, SPEED_RATIO, TABLES
from tests.builders import COSTS, record, run_of, small_case, surroundings
from xibench.analysis.paper import speeds
from xibench.record.schema import Record


def measured(model: str, step_s: float, macs: int, **fields: object) -> Record:
    case = msgspec.structs.replace(small_case(model=model), variant="default", **fields)
    made = record(case, *([step_s * f] * 5 for f in (0.99, 1.0, 1.01)))
    costs = msgspec.structs.replace(COSTS, macs=macs)
    return Record(case=case, attempts=[msgspec.structs.replace(a, costs=costs) for a in made.attempts])


def test_every_row_names_a_registered_network() -> None:
    for table in TABLES:
        for row in table.rows:
            assert len(row.values) == len(table.columns)
            assert cost(network(row.model, row.variant)).parameters_trainable > 0


def test_the_parameters_of_table_3_equal_those_of_the_blueprints() -> None:
    for row in SIZE_AND_SPEED.rows:
        assert cost(network(row.model, row.variant)).parameters_trainable == row.values[0]
    assert pytest.approx(0.903, abs=5e-4) == SPEED_RATIO


def test_the_ratio_is_xceptions_images_per_second_over_inceptions() -> None:
    (speed,) = speeds(run_of(measured("xception", 0.2, 800), measured("inception_v3", 0.1, 500)))
    assert speed.measured.ratio == pytest.approx(0.5)
    assert speed.measured.low is not None
    assert speed.measured.high is not None
    assert speed.measured.low < 0.5 < speed.measured.high
    assert speed.by_work == pytest.approx(500 / 800)
    assert speed.stated == SPEED_RATIO


def test_only_setups_measured_with_both_networks_have_a_ratio() -> None:
    assert speeds(run_of(measured("xception", 0.2, 8), measured("inception_v3", 0.1, 5, batch=4))) == []
    assert speeds(run_of(measured("xception", 0.2, 8), measured("inception_v3", 0.1, 5, recipe="tuned"))) == []
    assert speeds(run_of(measured("xception", 0.2, 8))) == []


def test_a_figure_in_parentheses_is_in_no_ratio() -> None:
    busy = measured("inception_v3", 0.1, 5)
    attempts = [msgspec.structs.replace(a, surroundings=surroundings(["others"], 0.67)) for a in busy.attempts]
    assert speeds(run_of(measured("xception", 0.2, 8), Record(case=busy.case, attempts=attempts))) == []
