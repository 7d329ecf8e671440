"""Formulas compute what arithmetic says, and nothing else is a formula."""

import math
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.graders.formula import Formula, FormulaError
from service.core.graders.outcome import GradingFailed

NAMES = {"a": 0.5, "b": 2.0, "c_1": -3.0}
LEAVES = st.sampled_from([*NAMES, "0.25", "1", "2e1"])
TEXTS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(" ".join),
        inner.map("({})".format),
        inner.map("-{}".format),
        st.tuples(inner, inner).map("min({0[0]}, {0[1]})".format),
        st.tuples(inner, inner).map("max({0[0]}, {0[1]})".format),
        inner.map("abs({})".format),
    ),
    max_leaves=8,
)


@given(TEXTS)
def test_a_formula_means_what_it_means_in_python(text: str) -> None:
    expected = math.nan
    with suppress(ZeroDivisionError):
        expected = eval(re.sub(r"--", "- -", text), {"min": min, "max": max, "abs": abs}, NAMES)

    if math.isfinite(expected):
        assert Formula(text).value(NAMES) == pytest.approx(expected)
    else:
        with pytest.raises(GradingFailed):
            Formula(text).value(NAMES)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 ^ 3 ^ 2", 512),
        ("-2 ^ 2", -4),
        ("2 ^ -1", 0.5),
        ("floor(2.7) + ceil(0.2)", 3),
        ("exp(0) + sqrt(16) + log(1)", 5),
        ("max(a)", 0.5),
        ("1 - 2 - 3", -4),
        ("8 / 4 / 2", 1),
    ],
)
def test_powers_bind_tightest_and_to_the_right(text: str, value: float) -> None:
    assert Formula(text).value(NAMES) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", "a +", "(a", "a)", "a b", "1 2", "a.b", "a[0]", "lambda: 1", "open(a)", "abs()"),
        *("abs(a, b)", "a ** b", "a, b", "'a'", "a = 1", "__import__('os')", "(" * 99 + ")" * 99),
        "-" * 500 + "1",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(FormulaError):
        Formula(text)


@pytest.mark.parametrize(
    "text", ["1 / 0", "9 ^ 9 ^ 9", "sqrt(-1)", "log(0)", "(-8) ^ 0.5", "1e999"]
)
def test_what_is_no_finite_number_gives_no_reward(text: str) -> None:
    with pytest.raises(GradingFailed) as caught:
        Formula(text).value({})
    assert caught.value.flags.unresponsive_reward_error


def test_a_formula_knows_its_names() -> None:
    assert Formula("a + min(b, 2 * c_1)").names == {"a", "b", "c_1"}


def test_the_longest_sum_is_computed() -> None:
    assert Formula("+".join("1" * 400)).value({}) == 400
