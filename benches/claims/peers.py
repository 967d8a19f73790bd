"""The rules by which other tools judge two sets of samples: functions of asv and pytest-benchmark, and a t-test.

Each rule receives all timed steps of both sides of a comparison, as it would from runs of its own tool.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from scipy.stats import ttest_ind

from xibench.measure.comparing import FALSE_DISCOVERIES

Judge = Callable[[Sequence[float], Sequence[float]], str]
"""Maps the step times of the base and the new side to `slower`, `faster` or `same`."""


def asv(factor: float) -> Judge:
    """Return the rule of `asv compare` and `asv continuous`: a Mann-Whitney test at 0.002, and the factor."""
    from asv.commands.compare import _is_result_better
    from asv_runner.statistics import compute_stats

    def judge(base: Sequence[float], new: Sequence[float]) -> str:
        (a, a_stats), (b, b_stats) = compute_stats(list(base), 1), compute_stats(list(new), 1)
        left, right = (a_stats, list(base)), (b_stats, list(new))
        if _is_result_better(a, b, left, right, factor):
            return "slower"
        return "faster" if _is_result_better(b, a, right, left, factor) else "same"

    return judge


def pytest_benchmark(rule: str) -> Judge:
    """Return the rule of pytest-benchmark's --benchmark-compare-fail, such as `median:3%`, in both directions."""
    from pytest_benchmark.stats import Stats
    from pytest_benchmark.utils import parse_compare_fail

    check = parse_compare_fail(rule)

    def stats(samples: Sequence[float]) -> Mapping[str, float]:
        kept = Stats()
        for sample in samples:
            kept.update(sample)
        found: Mapping[str, float] = kept.as_dict()
        return found

    def judge(base: Sequence[float], new: Sequence[float]) -> str:
        left, right = stats(base), stats(new)
        if check.fails(right, left):
            return "slower"
        return "faster" if check.fails(left, right) else "same"

    return judge


def t_test(base: Sequence[float], new: Sequence[float]) -> str:
    """Apply Welch's t-test at 1 % as if all steps were independent."""
    found = ttest_ind(new, base, equal_var=False)
    if found.pvalue >= FALSE_DISCOVERIES:
        return "same"
    return "slower" if found.statistic > 0 else "faster"


def judges() -> dict[str, Judge]:
    """Return the rules by name, with the default threshold of each tool and with thresholds near the planted effect."""
    return {
        "asv, factor 1.1 (its default)": asv(1.1),
        "asv, factor 1.02": asv(1.02),
        "asv, factor 1": asv(1.0),
        "pytest-benchmark, min:5%": pytest_benchmark("min:5%"),
        "pytest-benchmark, median:2%": pytest_benchmark("median:2%"),
        "t-test over steps, 1 %": t_test,
    }
