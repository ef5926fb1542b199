"""Which findings stand alone, and which share a table: one row per arm, parameter or cell, one column per claim.

A claim that is made of many things carries each one's name in brackets, ``calibrated[nll]``. As cards such findings
would bury those that answer the question. Nothing is judged here, and none is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from analysis.findings import Finding
from analysis.table import SweepTable
from search_spaces.domains import value_text

OF_SUBJECT = re.compile(r"([^\[\]]+)\[(.+)\]", re.DOTALL)
FEWEST_IN_TABLE = 3  # one or two verdicts read better as cards


@dataclass(frozen=True)
class VerdictTable:
    """The findings about things of one sort.

    Args:
        noun: What the rows are: ``arm``, ``parameter``, ``cell``, or the axis that they are values of.
        findings: Its findings, all with a subject in brackets.
        order: Subjects in the order of the study; others follow in that of their first appearance.
    """

    noun: str
    findings: tuple[Finding, ...]
    order: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Its heading."""
        return f"Verdicts per {self.noun}"

    @property
    def kinds(self) -> list[str]:
        """The claims, which are its columns, in the order of their first appearance."""
        return list(dict.fromkeys(kind_and_subject(finding)[0] for finding in self.findings))

    @cached_property
    def rows(self) -> Mapping[str, Mapping[str, Finding]]:
        """The findings by subject and claim, subjects in the order of the study."""
        found: dict[str, dict[str, Finding]] = {}
        for finding in self.findings:
            kind, subject = kind_and_subject(finding)
            found.setdefault(subject, {})[kind] = finding
        known = [subject for subject in self.order if subject in found]
        return {subject: found[subject] for subject in dict.fromkeys([*known, *found])}

    @property
    def n_verdicts(self) -> int:
        """How many of its findings apply."""
        return n_applicable(self.findings)

    def told_of(self, subject: str) -> str:
        """Return how much is said of one subject: ``nll: 7 verdicts, 1 not applicable``."""
        findings = list(self.rows[subject].values())
        n = n_applicable(findings)
        rest = f", {len(findings) - n} not applicable" if n < len(findings) else ""
        return f"{subject}: {n} verdict{'' if n == 1 else 's'}{rest}"


def n_applicable(findings: Sequence[Finding]) -> int:
    """Return how many findings have a verdict from data."""
    return sum(finding.verdict != "not_applicable" for finding in findings)


def kind_and_subject(finding: Finding) -> tuple[str, str]:
    """Return the claim of a finding and what stands in its brackets, empty without brackets."""
    match = OF_SUBJECT.fullmatch(finding.id)
    return (match[1], match[2]) if match else (finding.id, "")


def noun_of(table: SweepTable, subject: str) -> str:
    """Return what a subject is: a value of an axis, a swept parameter, or else a cell."""
    for axis in table.axes:
        if subject in {value_text(value) for value in axis.values}:
            return axis.name
    return "cell" if table.axis(subject) is None else "parameter"


def verdict_tables(table: SweepTable, findings: Sequence[Finding]) -> list[VerdictTable]:
    """Return the findings that share a table, one table per sort of subject."""
    by_noun: dict[str, list[Finding]] = {}
    for finding in findings:
        subject = kind_and_subject(finding)[1]
        if subject:
            by_noun.setdefault(noun_of(table, subject), []).append(finding)
    order = tuple(value_text(value) for axis in table.axes for value in axis.values)
    return [
        VerdictTable(noun, tuple(group), order)
        for noun, group in by_noun.items()
        if len(group) >= FEWEST_IN_TABLE
    ]


def standing_alone(findings: Sequence[Finding], tables: Sequence[VerdictTable]) -> list[Finding]:
    """Return the findings that are in none of the tables."""
    tabled = {finding.id for shared in tables for finding in shared.findings}
    return [finding for finding in findings if finding.id not in tabled]
