"""A sweep that decides itself says what ten seeds everywhere say, in fewer trials."""

import pytest

from tests.verdicts.deciding import LOOKS, decide
from tests.verdicts.settings import globals_settings

SETTINGS = {setting.name: setting for setting in globals_settings()}


def test_the_looks_are_those_of_the_command_line():
    from sweeps.study import Objective, Study

    study = Study("s", "f", "q?", Objective("valid/a"), grid={"x": (1, 2)}, seeds=3)
    assert study.until_decided(10).looks == LOOKS


@pytest.mark.parametrize("name", ["effect 100%, noise 5%", "effect 20%, noise 5%"])
def test_clear_effects_take_at_most_half_of_the_trials_and_end_with_the_same_verdicts(name):
    found = decide(SETTINGS[name], 2)
    assert found.share <= 0.6
    assert found.contradicted == 0
    assert found.both >= 10
    assert found.agreement > 0.85


def test_without_any_effect_nothing_is_claimed_that_is_not_true():
    found = decide(SETTINGS["effect 0%, noise 5%"], 2)
    assert (found.contradicted, found.with_false) == (0, 0)
