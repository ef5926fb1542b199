"""The three parameter domains, and the space that holds them.

A domain states its bounds, its type and the scale on which equal steps mean equal effect. Samplers,
heatmap axes and recommendations all read the scale from here, so a weight is log-scaled everywhere
or nowhere. Imports nothing heavy: a space can be declared and printed without Ray, Optuna or torch.
"""

from __future__ import annotations

import difflib
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from search_spaces.errors import RefusedError

Value = str | int | float | bool
Params = dict[str, Value]
Scale = Literal["linear", "log"]


PRESET = "preset"  # the parameter that names a preset, where a space has presets


NAME = r"[A-Za-z_][A-Za-z0-9_]{0,99}"


class SpaceError(RefusedError):
    """A parameter name or value that the space does not admit; the message names value, rule and way out."""


@dataclass(frozen=True)
class Choice:
    """A categorical domain.

    Args:
        options: The admitted values, simplest first: a recommendation between indistinguishable cells
            takes the earlier option.
        default: The value when none is given.
        meaning: One line for tables and `sweeps plan`.
    """

    options: tuple[Value, ...]
    default: Value
    meaning: str

    def __post_init__(self) -> None:
        """Refuse options of mixed types: they are one column of a table."""
        if len({type(option) for option in self.options}) != 1:
            raise SpaceError(
                f"Options {self.options} are of several types. Write all of them as text, or as numbers."
            )

    def check(self, name: str, value: object) -> Value:
        """Return the option equal to ``value``, or raise `SpaceError` with the closest option."""
        for option in self.options:
            if value == option and isinstance(value, bool) == isinstance(option, bool):
                return option
        listed = ", ".join(str(option) for option in self.options)
        raise SpaceError(
            f"{name}={value!r} is not an option.{did_you_mean(str(value), self.options)} It takes {listed}."
        )

    def parse(self, name: str, text: str) -> Value:
        """Return the option whose text is ``text``."""
        by_text = {str(option): option for option in self.options}
        return self.check(name, by_text.get(text, text))

    def rank(self, value: Value) -> float:
        """Return the place of ``value`` from simple to complex, from 0."""
        return float(self.options.index(value))


@dataclass(frozen=True)
class Number(ABC):
    """What `Float` and `Int` share: an interval, closed at both ends, and the scale of its steps.

    Args:
        low: Smallest admitted value.
        high: Largest admitted value; ``math.inf`` for none.
        default: The value when none is given.
        meaning: One line for tables and `sweeps plan`.
        unit: Unit of the value, empty when it has none.
        log: Whether equal ratios, rather than equal differences, mean equal effect.
        weight: Whether it is the factor on a loss term.
    """

    low: float
    high: float
    default: float
    meaning: str
    unit: str = ""
    log: bool = False
    weight: bool = False

    kind: ClassVar[type[int] | type[float]] = float
    example: ClassVar[str] = ""

    @abstractmethod
    def check(self, name: str, value: object) -> int | float:
        """Return ``value`` in the type of the domain, or raise `SpaceError`."""

    def parse(self, name: str, text: str) -> int | float:
        """Return the number written in ``text``, or raise `SpaceError`."""
        try:
            value = self.kind(text)
        except ValueError:
            raise SpaceError(f"{name}={text!r} is not {self.example}.") from None
        return self.check(name, value)

    @property
    def scale(self) -> Scale:
        """The scale on which equal steps mean equal effect."""
        return "log" if self.log else "linear"

    def check_bounds(self, name: str, value: float) -> None:
        """Raise `SpaceError` unless ``value`` is a finite number within the bounds."""
        if not math.isfinite(value):
            raise SpaceError(
                f"{name}={value} is not a finite number. Give a value from {self.low:g} to {self.high:g}."
            )
        if value < self.low:
            reason = (
                "A weight on a loss term cannot be negative."
                if self.weight
                else f"Give at least {self.low:g}."
            )
            raise SpaceError(f"{name}={value:g} is below {self.low:g}. {reason}")
        if value > self.high:
            raise SpaceError(f"{name}={value:g} is above {self.high:g}. Give at most {self.high:g}.")

    def rank(self, value: Value) -> float:
        """Return the place of ``value`` from simple (small) to complex (large)."""
        return float(value)


@dataclass(frozen=True)
class Float(Number):
    """A real-valued domain."""

    example: ClassVar[str] = "a number. Write it as 0.1 or 1e-3"

    def check(self, name: str, value: object) -> float:
        """Return ``value`` as a float within the bounds, or raise `SpaceError`."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SpaceError(
                f"{name}={value!r} is not a number. Give a value from {self.low:g} to {self.high:g}."
            )
        self.check_bounds(name, value)
        return float(value)


@dataclass(frozen=True)
class Int(Number):
    """A whole-number domain."""

    kind: ClassVar[type[int] | type[float]] = int
    example: ClassVar[str] = "a whole number. Write it as 32"

    def parse(self, name: str, text: str) -> int | float:
        """Return the whole number written in ``text``, also as 2.0 or 1e3, or raise `SpaceError`."""
        try:
            number = float(text)
        except ValueError:
            return super().parse(name, text)
        return super().parse(name, text) if text.strip().lstrip("+-").isdigit() else self.check(name, number)

    def check(self, name: str, value: object) -> int:
        """Return ``value`` as an int within the bounds, or raise `SpaceError`."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer():
            raise SpaceError(
                f"{name}={value!r} is not a whole number. Give a value from {self.low:g} to {self.high:g}."
            )
        self.check_bounds(name, value)
        return int(value)


Domain = Choice | Float | Int
Rule = Callable[[Params], str | None]


class Space(Mapping[str, Domain]):
    """The named parameters of one family: what exists, what it means, what it may be.

    Args:
        domains: Domains by the name that the researcher uses.
        rules: What parameters must fulfil together; each returns what is wrong and the way out, or None.
        presets: Values of several parameters under one name, an option of the parameter `PRESET`. What is given
            beside a preset is stronger than the preset.
    """

    def __init__(
        self,
        domains: Mapping[str, Domain],
        rules: Sequence[Rule] = (),
        presets: Mapping[str, Mapping[str, Value]] | None = None,
    ) -> None:
        self._domains, self._rules = dict(domains), tuple(rules)
        self._presets = {
            preset: {name: self.check(name, value) for name, value in values.items()}
            for preset, values in (presets or {}).items()
        }
        for name, domain in self._domains.items():
            if not re.fullmatch(NAME, name):
                raise SpaceError(
                    f"Parameter name {name!r} would not do as a column, a folder and an MLflow parameter. "
                    "Use letters, digits and '_', at most 100."
                )
            domain.check(name, domain.default)

    def __getitem__(self, name: str) -> Domain:
        return self._domains[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._domains)

    def __len__(self) -> int:
        return len(self._domains)

    def domain(self, name: str) -> Domain:
        """Return the domain called ``name``, or raise `SpaceError` with the closest name."""
        if name not in self._domains:
            raise SpaceError(
                f"Unknown parameter {name!r}.{did_you_mean(name, self._domains)} "
                f"This space has {', '.join(self._domains)}."
            )
        return self._domains[name]

    def check(self, name: str, value: object) -> Value:
        """Return ``value`` in the type of parameter ``name``, or raise `SpaceError`."""
        return self.domain(name).check(name, value)

    def parse(self, name: str, text: str) -> Value:
        """Return the value of parameter ``name`` written in ``text``, or raise `SpaceError`."""
        return self.domain(name).parse(name, text)

    def resolve(self, given: Mapping[str, Any]) -> Params:
        """Return every parameter: checked where given, of the preset or its default elsewhere, in the space's order.

        Raises:
            SpaceError: If a name is unknown, a value is not admitted, or values do not go together.
        """
        checked = {name: self.check(name, value) for name, value in given.items()}
        preset = self._presets.get(str(checked.get(PRESET)), {})
        chosen = {**preset, **checked}
        params = {name: chosen.get(name, domain.default) for name, domain in self._domains.items()}
        for problem in filter(None, (rule(params) for rule in self._rules)):
            raise SpaceError(problem)
        return params


def value_text(value: Value) -> str:
    """Return the shortest text that reads back as ``value``."""
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value)


def did_you_mean(word: str, known: Iterable[object]) -> str:
    """Return `` Did you mean 'x'?`` for the closest of ``known``, or nothing when none is close."""
    close = difflib.get_close_matches(word, [str(item) for item in known], n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
