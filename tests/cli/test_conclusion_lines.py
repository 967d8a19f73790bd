"""What `run` and `show` conclude: sentences checked against the records that they were made from."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import append, attempt, failure, header, process, record, run_of, serving, small_case
from tests.cli.command import ROOT, xibench
from xibench.analysis.conclusions import conclusions, repetition
from xibench.cli.render.conclusion_lines import MAX_LINES, conclusion_lines
from xibench.record.schema import Case, RateTrial, Record, SamplingConfig
from xibench.record.store import Run, RunFile
from xibench.record.summary import summarise

FRAMEWORKS = ("pytorch", "tensorflow", "jax")
QUICK = "xibench run -f pytorch,jax -m xception --batch 1 --device cpu"


def lines(run: Run, path: str = "run.jsonl") -> list[str]:
    return [line for line in conclusion_lines(Path(path), run, [summarise(r) for r in run.records]) if line]


def with_processes(case: Case, *medians_s: float, share: float = 0.0) -> Record:
    disturbed = ["others took some"] if share > 0.05 else []
    return Record(case=case, attempts=[
        attempt(case, number=n, made=process([m, 1.001 * m, 1.002 * m], n), others_share=share, disturbed=disturbed)
        for n, m in enumerate(medians_s)
    ])  # fmt: skip


def in_scenario(framework: str, scenario: str) -> Case:
    return msgspec.structs.replace(small_case(framework), scenario=scenario)


middles = st.lists(st.sampled_from([0.1, 0.101, 0.13, 1.0]), min_size=1, max_size=3)
drawn = st.lists(st.tuples(middles, st.sampled_from([0.0, 0.06, 0.5]), st.booleans()), min_size=2, max_size=3)


@settings(deadline=None)
@given(drawn)
def test_the_sentence_names_the_true_first_and_calls_it_fastest_only_if_that_is_certain(
    cases: list[tuple[list[float], float, bool]]
) -> None:
    records = [
        with_processes(small_case(framework), *medians, share=share) if fine else failure(small_case(framework))
        for framework, (medians, share, fine) in zip(FRAMEWORKS, cases, strict=False)
    ]  # fmt: skip
    run = run_of(*records)
    said, *further = lines(run)
    summaries = [summarise(r) for r in records]
    usable = [s for s in summaries if s.step_s and not s.bracketed]
    for summary in summaries:
        if summary not in usable:
            why = "others took 50 %" if summary.step_s else "failed"
            assert f"{summary.case.framework} default ({why}" in said.partition("not ranked: ")[2]
    if len(usable) > 1:
        fastest = min(s.step_s.median for s in usable if s.step_s)
        named = re.match(r"xception/narrow, batch 1: (\w+) default is (fastest|ahead), ([\d.]+) times as fast as", said)
        assert named, said
        (first,) = (s for s in usable if s.case.framework == named[1])
        assert first.step_s
        assert first.step_s.median == fastest
        apart = all(
            first.step_s.high is not None and s.step_s and s.step_s.low is not None and first.step_s.high < s.step_s.low
            for s in usable if s is not first
        )  # fmt: skip
        if named[2] == "fastest":
            assert apart
            assert all(s.processes > 1 for s in usable)
            assert "[" in said
        if any(s.processes == 1 for s in usable):
            assert named[2] == "ahead"
    elif not usable and any(s.bracketed for s in summaries):
        assert further[-1].startswith("This run cannot be used")


def test_a_run_of_a_single_case_or_of_cases_that_cannot_be_compared_concludes_nothing() -> None:
    assert lines(run_of(record(small_case()))) == []
    apart = [small_case(batch=1), small_case("jax", batch=2), small_case("jax", model="inception_v3")]
    assert lines(run_of(*(record(case) for case in apart))) == []


def test_cases_of_different_environments_are_not_compared() -> None:
    one, other = record(small_case()), record(small_case("jax"))
    moved = [msgspec.structs.replace(a, environment="another") for a in other.attempts]
    assert lines(run_of(one, other))
    assert lines(run_of(one, msgspec.structs.replace(other, attempts=moved))) == []


def test_one_process_per_case_is_said_with_the_command_and_the_time_that_several_take() -> None:
    made = msgspec.structs.replace(header([small_case(), small_case("jax")]), command=f"{QUICK} --out a.jsonl --json")
    run = run_of(record(small_case()), record(small_case("jax")), made=made)
    said = lines(run)
    assert "with one process per case this is not certain" in said[0]
    assert said[-1].endswith(f"3 processes per case (`--processes 3`), about 18 s: `{QUICK} --processes 3`")  # 2 x 3 s


def test_a_run_that_is_not_finished_has_no_advice_but_the_note_that_resumes_it() -> None:
    cases = [small_case(), small_case("jax")]
    run = run_of(*map(record, cases), made=header(cases, SamplingConfig(processes=2)))
    assert len(lines(run)) == 1


@pytest.mark.parametrize(
    ("command", "repeated"),
    [
        (QUICK, f"{QUICK} --processes 5"),
        (f"{QUICK} --processes=2 --out 'my run.jsonl'", f"{QUICK} --processes 5"),
        ("xibench run --processes 2 --images 'my images'", "xibench run --images 'my images' --processes 5"),
        ("xibench spectrum -f jax", "xibench spectrum -f jax --processes 5"),
        ("xibench run --resume run.jsonl", None),
        ("xibench tune jax/xception", None),
    ],
)
def test_the_command_is_that_of_the_run_with_another_number_of_processes(command: str, repeated: str | None) -> None:
    made = msgspec.structs.replace(header([small_case()]), command=command)
    assert repetition(run_of(record(small_case()), made=made), 5)[0] == repeated


def test_the_command_that_a_conclusion_prints_is_accepted(tmp_path: Path) -> None:
    cases = [small_case(), small_case("jax")]
    made = msgspec.structs.replace(header(cases), command=f"{QUICK} --budget 1 --out first.jsonl")
    with RunFile.create(tmp_path / "run.jsonl", made) as run_file:
        append(run_file, *map(record, cases))
    said = xibench("show", "run.jsonl", cwd=tmp_path).stdout.splitlines()[-1]
    command = shlex.split(said.split("`")[-2])
    done = xibench(*command[1:], "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "3 processes each" in done.stdout


def test_only_the_first_groups_are_printed_and_the_rest_counted() -> None:
    cases = [small_case(framework, batch=batch) for batch in range(1, 12) for framework in ("jax", "pytorch")]
    said = lines(run_of(*map(record, cases)))
    assert len([line for line in said if ", batch " in line]) == MAX_LINES
    assert "and 3 more: `xibench show run.jsonl --json`" in said


def test_rates_under_different_latency_bounds_are_not_compared() -> None:
    trial = RateTrial(rate_hz=7.0, latencies_s=[0.1], p99_s=0.1, within=True)
    records = [
        Record(case=case, attempts=[attempt(case, made=serving(process(), bound, rate, [trial]))])
        for framework, bound, rate in (("jax", 0.1, 7.0), ("pytorch", 0.5, 9.0))
        for case in [in_scenario(framework, "server")]
    ]
    (said, *_) = lines(run_of(*records))
    assert "not comparable" in said
    assert "--latency-bound" in said


def test_compile_is_ranked_by_compiling_and_the_first_step_together() -> None:
    """A framework that compiles in its first step has no compile time of its own."""
    ahead = [msgspec.structs.replace(process([], n), compile_s=3.0 + n / 100, first_step_s=0.1) for n in range(3)]
    within = [msgspec.structs.replace(process([], n), compile_s=None, first_step_s=2.0 + n / 100) for n in range(3)]
    records = [
        Record(case=case, attempts=[attempt(case, number=n, made=p) for n, p in enumerate(processes)])
        for framework, processes in (("jax", ahead), ("pytorch", within))
        for case in [in_scenario(framework, "compile")]
    ]
    (said,) = lines(run_of(*records))
    assert "pytorch default is first to a result, 1.55 times as fast as jax default [" in said


def test_the_json_has_the_same_conclusions(tmp_path: Path) -> None:
    fast, slow, busy = (small_case(framework) for framework in FRAMEWORKS)
    records = [with_processes(slow, 0.2, 0.201, 0.202), with_processes(fast, 0.1, 0.101, 0.102)]
    with RunFile.create(tmp_path / "run.jsonl", header([slow, fast, busy], SamplingConfig(processes=3))) as run_file:
        append(run_file, *records, with_processes(busy, 0.01, 0.01, 0.01, share=0.67))
    (found,) = json.loads(xibench("show", "run.jsonl", "--json", cwd=tmp_path).stdout)["conclusions"]
    assert found["best"] == {"framework": "pytorch", "recipe": "default"}
    assert found["lead"]["times"] == pytest.approx(2, rel=0.02)
    assert found["undecided"] == []
    assert found["not_ranked"] == [
        {"framework": "jax", "recipe": "default", "reason": "others took 67 % of the cores' time"}
    ]
    shown = xibench("show", "run.jsonl", cwd=tmp_path).stdout
    assert re.search(r"pytorch default is fastest, 1\.9\d times as fast as tensorflow default \[", shown)
    assert re.search(r"jax +xception +\(99\.\d \[[\d., ]+\]\)", shown), shown


def test_the_conclusions_on_the_committed_runs_can_be_drawn_from_their_tables() -> None:
    """Nothing that is said to be fastest has an interval that overlaps that of another case of its group."""
    from xibench.record.store import read

    concluded = 0
    for name in ("amd-epyc-avx512-2c/nightly", "intel-xeon-avx512-2c/spectrum", "intel-xeon-avx512-2c/quick"):
        run = read(ROOT / f"results/reference/{name}.jsonl")
        for one in conclusions([summarise(r, run.calibration) for r in run.records]):
            if one.ranking.certain:
                concluded += 1
                assert all(s.processes > 1 for s in one.ranking.order)
                assert "quick" not in name
    assert concluded > 10


def test_a_busy_reference_to_more_than_three_unranked_cases_is_shortened() -> None:
    def recipe(name: str) -> Case:
        return msgspec.structs.replace(small_case(), recipe=name)

    names: Sequence[str] = ("a", "b", "c", "d", "e")
    said = lines(run_of(record(small_case("jax")), *(failure(recipe(name)) for name in names)))
    assert "not ranked: pytorch a (failed), pytorch b (failed), pytorch c (failed) and 2 more" in said[0]
