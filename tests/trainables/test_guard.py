"""Guards: which histories break a rule, and which rules are refused."""

import pytest

from trainables.guard import Guard, GuardError, first_broken, refuse_unknown

RULE = Guard("valid/K_eff", below=1.5, patience=3, grace=2)


def history(*values):
    return [{"valid/K_eff": value} for value in values]


def test_a_rule_breaks_after_its_patience_and_not_before():
    assert not RULE.is_broken(history(9.0, 9.0, 1.0, 1.0))
    assert RULE.is_broken(history(9.0, 9.0, 1.0, 1.0, 1.0))


def test_a_value_back_inside_the_bound_starts_the_count_again():
    assert not RULE.is_broken(history(9.0, 9.0, 1.0, 1.0, 2.0, 1.0, 1.0))
    assert RULE.is_broken(history(9.0, 9.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0))


def test_epochs_of_grace_do_not_count():
    assert not RULE.is_broken(history(1.0, 1.0, 1.0, 1.0))
    assert RULE.is_broken(history(1.0, 1.0, 1.0, 1.0, 1.0))


def test_an_upper_bound_breaks_above_it_and_an_epoch_without_a_value_breaks_nothing():
    rule = Guard("grad_share/recon", above=0.99, patience=2)
    assert rule.is_broken([{"grad_share/recon": 0.995}, {"grad_share/recon": 0.999}])
    assert not rule.is_broken([{"grad_share/recon": 0.995}, {}])
    assert not rule.is_broken([{"grad_share/recon": 0.99}, {"grad_share/recon": 0.99}])


def test_the_rule_says_itself_in_words():
    assert RULE.text == "valid/K_eff < 1.5 for 3 epochs"
    assert Guard("a", above=2.0, patience=1).text == "a > 2 for 1 epoch"


def test_the_first_of_several_broken_rules_is_named():
    other = Guard("valid/K_eff", below=5.0, patience=1)
    assert first_broken((RULE, other), history(9.0, 9.0, 1.0, 1.0, 1.0)) is RULE
    assert first_broken((RULE, other), history(9.0, 9.0, 4.0)) is other
    assert first_broken((RULE, other), history(9.0)) is None


def test_a_monitor_that_is_not_reported_is_refused_with_those_that_are():
    with pytest.raises(
        GuardError, match=r"Guard's monitor 'valid/K_of' is not reported\. It takes one of valid/K_eff"
    ):
        refuse_unknown((Guard("valid/K_of", below=1.0),), history(9.0)[0])


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({}, "needs one bound. Write below=VALUE or above=VALUE"),
        ({"below": 1.0, "above": 2.0}, "needs one bound"),
        ({"below": float("nan")}, "has the bound nan. Give a finite number"),
        ({"below": 1.0, "patience": 0}, "patience=0, grace=0. Give a patience of at least 1"),
    ],
)
def test_a_malformed_rule_is_refused(bounds, message):
    with pytest.raises(GuardError, match=message):
        Guard("valid/K_eff", **bounds)
