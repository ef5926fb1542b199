"""Optuna draws exactly what a domain admits."""

import math

import optuna
import pytest

from search_spaces.conversion import to_optuna
from search_spaces.domains import Choice, Float, Int, SpaceError

DOMAINS = {
    "kind": Choice(("a", "b"), "a", "a choice"),
    "rate": Float(1e-5, 1e-1, 1e-3, "a log-scaled rate", log=True),
    "share": Float(0.25, 0.75, 0.5, "a share"),
    "width": Int(8, 64, 16, "a log-scaled width", log=True),
    "depth": Int(1, 3, 2, "a depth"),
}


@pytest.mark.parametrize("name", DOMAINS)
def test_optuna_draws_only_admitted_values(name):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    asked = (study.ask({name: to_optuna(name, DOMAINS[name])}).params[name] for _ in range(200))
    drawn = {DOMAINS[name].check(name, value) for value in asked}
    assert len(drawn) > 1
    if name == "depth":
        assert drawn == {1, 2, 3}


@pytest.mark.parametrize("name", DOMAINS)
def test_optuna_knows_bounds_and_scale(name):
    domain, distribution = DOMAINS[name], to_optuna(name, DOMAINS[name])
    if isinstance(domain, Choice):
        assert distribution.choices == domain.options
    else:
        assert (distribution.low, distribution.high, distribution.log) == (
            domain.low,
            domain.high,
            domain.log,
        )


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (
            Float(0.0, 1.0, 0.5, "a weight", log=True),
            "w is log-scaled from 0. A search needs a lower bound above 0",
        ),
        (Float(0.0, math.inf, 0.5, "unbounded"), "w has no upper bound. Narrow it before a search"),
    ],
)
def test_what_cannot_be_searched_is_refused(domain, message):
    with pytest.raises(SpaceError, match=message):
        to_optuna("w", domain)
