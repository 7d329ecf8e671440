"""The formula of a multi grader: numbers, names of graders, + - * / ^, and a few functions.

sum     = term (("+" | "-") term)*
term    = factor (("*" | "/") factor)*
factor  = ("+" | "-") factor | power
power   = atom ("^" factor)?
atom    = number | name | function "(" sum ("," sum)* ")" | "(" sum ")"
"""

import math
import re
from collections.abc import Callable, Mapping

from service.core.graders.outcome import Flags, GradingFailed

Values = Mapping[str, float]
Expression = Callable[[Values], float]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>[-+*/^(),]))"
)
_FUNCTIONS: Mapping[str, tuple[Callable[..., float], int, int]] = {
    "min": (min, 1, 20),
    "max": (max, 1, 20),
    "abs": (abs, 1, 1),
    "floor": (math.floor, 1, 1),
    "ceil": (math.ceil, 1, 1),
    "exp": (math.exp, 1, 1),
    "sqrt": (math.sqrt, 1, 1),
    "log": (math.log, 1, 1),
}
"""Function, fewest and most arguments."""
_DEPTH = 40
"""Parentheses and signs within each other."""


class FormulaError(ValueError):
    """The text is no formula; the message says where."""


class Formula:
    """A parsed formula."""

    def __init__(self, text: str) -> None:
        """Raises FormulaError."""
        self.names: set[str] = set()
        self._tokens = _tokens(text)
        self._depth = 0
        self._expression = self._sum()
        if self._tokens[0]:
            raise FormulaError(f"{self._tokens[0]!r} does not belong there")

    def value(self, values: Values) -> float:
        """Raises GradingFailed where it is no finite number."""
        try:
            result = float(self._expression(values))
        except (ArithmeticError, ValueError, RecursionError):
            result = math.nan
        if not math.isfinite(result):
            raise GradingFailed(Flags(unresponsive_reward_error=True))
        return result

    def _take(self, *signs: str) -> str | None:
        """The next token, if it is one of these."""
        return self._tokens.pop(0) if self._tokens[0] in signs else None

    def _expect(self, sign: str) -> None:
        if self._take(sign) is None:
            raise FormulaError(f"{sign!r} is missing before {self._tokens[0] or 'the end'!r}")

    def _sum(self) -> Expression:
        left = self._term()
        while sign := self._take("+", "-"):
            left = _binary(sign, left, self._term())
        return left

    def _term(self) -> Expression:
        left = self._factor()
        while sign := self._take("*", "/"):
            left = _binary(sign, left, self._factor())
        return left

    def _factor(self) -> Expression:
        self._depth += 1
        if self._depth > _DEPTH:
            raise FormulaError("it is nested too deeply")
        sign = self._take("+", "-")
        if sign is None:
            expression = self._power()
        else:
            operand = self._factor()
            expression = (lambda values: -operand(values)) if sign == "-" else operand
        self._depth -= 1
        return expression

    def _power(self) -> Expression:
        base = self._atom()
        return _binary("^", base, self._factor()) if self._take("^") else base

    def _atom(self) -> Expression:
        if self._take("("):
            inner = self._sum()
            self._expect(")")
            return inner
        token = self._tokens.pop(0)
        if token[:1].isdigit() or token[:1] == ".":
            number = float(token)
            return lambda _: number
        if not (token[:1].isalpha() or token[:1] == "_"):
            raise FormulaError(f"a number or a name is missing before {token or 'the end'!r}")
        if self._tokens[0] == "(":
            return self._call(token)
        self.names.add(token)
        return lambda values: values[token]

    def _call(self, name: str) -> Expression:
        if name not in _FUNCTIONS:
            raise FormulaError(f"there is no function {name!r}, only {', '.join(_FUNCTIONS)}")
        function, fewest, most = _FUNCTIONS[name]
        self._expect("(")
        arguments = [self._sum()]
        while self._take(","):
            arguments.append(self._sum())
        self._expect(")")
        if not fewest <= len(arguments) <= most:
            raise FormulaError(f"{name!r} does not take {len(arguments)} arguments")
        if len(arguments) == 1 and most > 1:
            return arguments[0]  # the least of one
        return lambda values: function(*(argument(values) for argument in arguments))


def _tokens(text: str) -> list[str]:
    """An empty one marks the end."""
    tokens, place, end = [], 0, len(text.rstrip())
    while place < end:
        found = _TOKEN.match(text, place)
        if found is None:
            raise FormulaError(f"{text[place:].strip()[:20]!r} is not understood")
        tokens.append(found.group().strip())
        place = found.end()
    return [*tokens, ""]


def _binary(sign: str, left: Expression, right: Expression) -> Expression:
    match sign:
        case "+":
            return lambda values: left(values) + right(values)
        case "-":
            return lambda values: left(values) - right(values)
        case "*":
            return lambda values: left(values) * right(values)
        case "/":
            return lambda values: left(values) / right(values)
    return lambda values: math.pow(left(values), right(values))
