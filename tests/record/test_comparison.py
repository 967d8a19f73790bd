from __future__ import annotations

import msgspec
import pytest

from tests.builders import (
    ENVIRONMENT,
    calibration,
    failure,
    header,
    measured,
    process,
    record,
    run_of,
    serving,
    small_case,
)
from xibench.analysis.comparison_text import conclusion
from xibench.record.comparison import compare
from xibench.record.schema import Compile, Environment, Header, InputImages, Record, Substitution
from xibench.record.store import Run

CASE = small_case()
STEPS = [(0.100, 0.101), (0.101, 0.102), (0.099, 0.100), (0.100, 0.1005)]


def run(*records: Record, made: Header | None = None) -> Run:
    return run_of(*records, made=made)


def slowed(factor: float) -> list[tuple[float, ...]]:
    return [tuple(step * factor for step in process) for process in STEPS]


def test_a_run_that_is_ten_per_cent_slower_is_called_slower_and_counted() -> None:
    found = compare(run(record(CASE, *STEPS)), run(record(CASE, *slowed(1.1))))
    assert [(pair.verdict, pair.n) for pair in found.pairs] == [("slower", 4)]
    assert found.pairs[0].ratio == pytest.approx(1.1)
    assert found.slower == 1


def test_a_run_against_itself_is_the_same() -> None:
    steady = [[0.1 + 0.0001 * n] * 3 for n in range(4)]
    found = compare(run(record(CASE, *steady)), run(record(CASE, *steady)))
    assert [pair.verdict for pair in found.pairs] == ["same"]
    assert found.slower == 0


@pytest.mark.parametrize(
    ("base", "new", "said", "cure"),
    [(1, 1, "base and of the new", "xibench ab"), (1, 3, "base", "xibench ab"), (3, 1, "new", "--processes 3")],
)
def test_runs_of_one_process_leave_a_doubt_and_say_what_would_help(base: int, new: int, said: str, cure: str) -> None:
    then, now = (run(record(CASE, *[(seconds,) * 3] * count)) for seconds, count in ((0.5, base), (0.9, new)))
    found = compare(then, now)
    (pair,) = found.pairs
    assert pair.verdict == "unsure"
    (note,) = pair.notes
    assert note.startswith(f"one process of the {said} run: ")
    assert cure in note
    assert pair.medians_s == (0.5, 0.9)
    assert ": 500 ms a step in the base run, 900 ms in the new one: 1 process: too few" in conclusion(found, pair)


@pytest.mark.parametrize(("factor", "said"), [(0.5, True), (0.9, False), (1.1, False), (1.5, True)])
def test_ceilings_that_differ_tell_that_the_machine_was_not_as_fast(factor: float, said: bool) -> None:
    then = calibration()
    matmuls = [msgspec.structs.replace(m, flops_per_s=(m.flops_per_s or 0) * factor) for m in then.matmuls]
    now = msgspec.structs.replace(then, matmuls=matmuls)
    base, new = (run_of(record(CASE, (0.5,) * 3), calibrations=[ceilings]) for ceilings in (then, now))
    (pair,) = compare(base, new).pairs
    assert any("fp32 matmul in " in change for change in pair.changed) is said


def test_unlike_settings_are_refused_with_what_differs() -> None:
    other = msgspec.structs.replace(process(), settings={"threads": 1})
    found = compare(run(record(CASE)), run(measured(CASE, other)))
    assert found.pairs == []
    assert found.not_compared[0].why == ["threads 2 -> 1"]


def test_unlike_settings_are_compared_on_request_and_the_difference_stands_beside_the_verdict() -> None:
    other = msgspec.structs.replace(process(), settings={"threads": 1})
    found = compare(run(record(CASE)), run(measured(CASE, other)), allow_unlike=True)
    assert found.pairs[0].unlike == ["threads 2 -> 1"]


def test_modes_of_the_processor_make_runs_unlike_unless_one_does_not_record_them() -> None:
    kept, flushed = (
        msgspec.structs.replace(process(), settings={"threads": 2, "denormals": mode}) for mode in ("kept", "flushed")
    )
    found = compare(run(measured(CASE, kept)), run(measured(CASE, flushed)))
    assert found.not_compared[0].why == ["denormals kept -> flushed"]
    older = run(record(CASE))
    for base, new in ((older, run(measured(CASE, flushed))), (run(measured(CASE, flushed)), older)):
        assert compare(base, new).pairs[0].unlike == []


def test_true_and_one_are_unlike() -> None:
    left = msgspec.structs.replace(process(), settings={"tf32": True})
    right = msgspec.structs.replace(process(), settings={"tf32": 1})
    assert compare(run(measured(CASE, left)), run(measured(CASE, right))).pairs == []


def test_what_ran_instead_of_what_was_wanted_makes_cases_unlike() -> None:
    instead = Substitution(wanted="torch.compile", why="no compiler", ran="eager")
    other = msgspec.structs.replace(process(), substitutions=[instead])
    found = compare(run(record(CASE)), run(measured(CASE, other)))
    assert "eager" in found.not_compared[0].why[0]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"cpu_model": "OTHER"}, "cpu_model"),
        ({"cores_usable": 1}, "cores_usable"),
        ({"cpu_flags": ["avx2", "avx512f"]}, "cpu_flags avx2 -> avx2 avx512f"),
    ],
)
def test_another_machine_is_refused(change: dict[str, object], word: str) -> None:
    elsewhere: Environment = msgspec.structs.replace(ENVIRONMENT, **change)
    made = msgspec.structs.replace(header([CASE]), environment=elsewhere)
    found = compare(run(record(CASE, *STEPS)), run(record(CASE, *STEPS), made=made))
    assert word in found.not_compared[0].why[0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"variables": {"OMP_NUM_THREADS": "1"}}, "OMP_NUM_THREADS unset -> 1"),
        ({"cpu_quota_cores": 1.5}, "cpu_quota_cores unset -> 1.5"),
        ({"memory_limit_bytes": 2**30}, f"memory_limit_bytes unset -> {2**30}"),
        ({"cpus_allowed": "2-3"}, "cpus_allowed 0-1 -> 2-3"),
    ],
)
def test_runs_under_other_variables_or_limits_are_unlike(change: dict[str, object], why: str) -> None:
    known = msgspec.structs.replace(ENVIRONMENT, variables={}, cpus_allowed="0-1")
    base = msgspec.structs.replace(header([CASE]), environment=known)
    new = msgspec.structs.replace(base, environment=msgspec.structs.replace(known, **change))
    found = compare(run(record(CASE, *STEPS), made=base), run(record(CASE, *STEPS), made=new))
    assert found.not_compared[0].why == [why]
    older = run(record(CASE, *STEPS))  # its format does not hold them, so nothing can be said about them
    assert len(compare(older, run(record(CASE, *STEPS), made=new)).pairs) == 1


def test_a_seed_that_drew_other_weights_makes_every_case_of_the_network_unlike() -> None:
    def drew(digest: str) -> Run:
        digested = msgspec.structs.replace(process(), weights_digest=digest)
        another = small_case("jax")  # of the same network: its process need not have reported the digest
        return run(measured(CASE, digested), measured(another, process()))

    assert [entry.why for entry in compare(drew("a" * 64), drew("b" * 64)).not_compared] == [
        ["the seed drew other weights: digest aaaaaaaaaaaa -> bbbbbbbbbbbb"]
    ] * 2
    assert compare(drew("a" * 64), drew("a" * 64)).not_compared == []
    older = run(measured(CASE, process()))
    assert compare(older, drew("a" * 64)).pairs[0].unlike == []


def test_other_photographs_are_refused() -> None:
    other = InputImages(source="noise", files=[], digest="1", preparation="none")
    made = msgspec.structs.replace(header([CASE]), images=other)
    found = compare(run(record(CASE, *STEPS)), run(record(CASE, *STEPS), made=made))
    assert "pixels" in found.not_compared[0].why[0]


def test_other_versions_are_compared_and_said() -> None:
    newer = [msgspec.structs.replace(process(s), versions={"python": "3.11.0", "torch": "2.14.0"}) for s in STEPS]
    found = compare(run(record(CASE, *STEPS)), run(measured(CASE, *newer)))
    assert found.pairs[0].changed == ["torch 2.13.0 -> 2.14.0"]


def test_a_case_of_one_run_alone_and_one_that_failed_are_listed_with_the_reason() -> None:
    other = small_case("jax")
    found = compare(run(record(CASE), record(other)), run(failure(CASE)))
    assert {entry.case: entry.why for entry in found.not_compared} == {
        CASE: ["new: failed, the worker exited with code 3"], other: ["only in the base run"],
    }  # fmt: skip


def test_compile_times_are_compared_over_processes() -> None:
    case = msgspec.structs.replace(CASE, scenario="compile")

    def compiled(factor: float) -> Record:
        times = (10.0, 10.2, 9.9, 10.1)
        return measured(case, *[
            msgspec.structs.replace(
                process(order=n), measured=Compile(), compile_s=t * factor, first_step_s=0.1 * factor
            )
            for n, t in enumerate(times)
        ])  # fmt: skip

    assert compare(run(compiled(1.0)), run(compiled(1.5))).pairs[0].verdict == "slower"


def test_other_commits_and_systems_are_compared_and_said() -> None:
    later = msgspec.structs.replace(ENVIRONMENT, git_commit="f" * 40, git_dirty=True, kernel="Linux 6.9.0")
    made = msgspec.structs.replace(header([CASE]), environment=later)
    (pair,) = compare(run(record(CASE, *STEPS)), run(record(CASE, *STEPS), made=made)).pairs
    assert f"kernel {ENVIRONMENT.kernel} -> Linux 6.9.0" in pair.changed
    assert any(text.endswith("-> ffffffffff with uncommitted changes") for text in pair.changed)


def test_processes_that_failed_or_were_repeated_are_said() -> None:
    good = record(CASE, *STEPS)
    crashed = msgspec.structs.replace(failure(CASE).attempts[0], number=4, order=9)
    aside = msgspec.structs.replace(good.attempts[0], superseded=True, order=8)
    (pair,) = compare(run(good), run(Record(case=CASE, attempts=[aside, *good.attempts, crashed]))).pairs
    assert "new: a process failed: failed, the worker exited with code 3" in pair.notes
    assert "new: 1 disturbed and repeated, left out" in pair.notes


def test_rates_of_a_server_are_refused_and_not_taken_for_times() -> None:
    case = msgspec.structs.replace(CASE, scenario="server")
    served = serving(process(), 1.0, 2.0, [])
    found = compare(run(measured(case, served)), run(measured(case, served)))
    assert found.pairs == []
    assert found.not_compared[0].why[0].startswith("scenario server: the highest rate is a step of a search")


def test_ceilings_of_runs_with_other_frameworks_are_not_compared() -> None:
    """A run of one framework has the ceiling of that framework alone."""
    then = calibration()
    other = [msgspec.structs.replace(matmul, framework="another", flops_per_s=1e9) for matmul in then.matmuls]
    now = msgspec.structs.replace(then, matmuls=other)
    base, new = (run_of(record(CASE, (0.5,) * 3), calibrations=[ceilings]) for ceilings in (then, now))
    (pair,) = compare(base, new).pairs
    assert not any("matmul" in change for change in pair.changed)
