"""What a space promises: it resolves, and it refuses in one sentence that names the way out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.domains import Choice, Float, Int, Space, SpaceError
from search_spaces.globals_autoencoder import SPACE

TINY = Space(
    {
        "kind": Choice(("plain", "fancy"), "plain", "what it is"),
        "kl_weight": Float(0.0, 10.0, 1.0, "weight of the KL term", log=True, weight=True),
        "depth": Int(1, 8, 2, "layers"),
    }
)


def test_unset_parameters_take_their_defaults_in_the_order_of_the_space():
    assert list(TINY.resolve({"depth": 3}).items()) == [("kind", "plain"), ("kl_weight", 1.0), ("depth", 3)]


@pytest.mark.parametrize(
    ("given_values", "message"),
    [
        (
            {"kl_wieght": 1},
            r"Unknown parameter 'kl_wieght'. Did you mean 'kl_weight'\? This space has kind, kl_weight",
        ),
        ({"kl_weight": -1}, r"kl_weight=-1 is below 0. A weight on a loss term cannot be negative."),
        ({"kl_weight": 11}, r"kl_weight=11 is above 10. Give at most 10."),
        ({"kl_weight": float("nan")}, r"kl_weight=nan is not a finite number"),
        ({"kl_weight": True}, r"kl_weight=True is not a number"),
        ({"kl_weight": "1"}, r"kl_weight='1' is not a number"),
        ({"depth": 2.5}, r"depth=2.5 is not a whole number"),
        ({"depth": float("nan")}, r"depth=nan is not a whole number"),
        ({"depth": float("inf")}, r"depth=inf is not a whole number"),
        ({"depth": 0}, r"depth=0 is below 1. Give at least 1."),
        (
            {"kind": "fancyy"},
            r"kind='fancyy' is not an option. Did you mean 'fancy'\? It takes plain, fancy.",
        ),
    ],
)
def test_bad_input_is_refused_with_value_rule_and_way_out(given_values, message):
    with pytest.raises(SpaceError, match=message):
        TINY.resolve(given_values)


@pytest.mark.parametrize(
    ("name", "text", "value"), [("kl_weight", "1e-3", 1e-3), ("depth", "4", 4), ("kind", "fancy", "fancy")]
)
def test_text_from_the_command_line_becomes_a_value_of_the_right_type(name, text, value):
    parsed = TINY.parse(name, text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("text", ["one", "", "1..2", "0x10"])
def test_text_that_is_no_number_is_refused(text):
    with pytest.raises(SpaceError, match=r"is not a number\. Write it as"):
        TINY.parse("kl_weight", text)


@given(st.floats(0.0, 10.0))
def test_every_value_within_the_bounds_is_kept_as_it_is(value):
    assert TINY.check("kl_weight", value) == value


def test_a_default_outside_its_own_bounds_cannot_be_declared():
    with pytest.raises(SpaceError, match="depth=9 is above 8"):
        Space({"depth": Int(1, 8, 9, "layers")})


def test_simplicity_follows_option_order_and_size():
    assert TINY["kind"].rank("plain") < TINY["kind"].rank("fancy")
    assert TINY["kl_weight"].rank(0.1) < TINY["kl_weight"].rank(1.0)


def test_options_of_mixed_types_cannot_be_declared():
    with pytest.raises(SpaceError, match="are of several types"):
        Choice((0, "auto"), 0, "one column of a table")


def test_values_that_do_not_go_together_are_refused():
    with pytest.raises(
        SpaceError, match=r"hidden_dim=30 is not divisible by mixing_heads=4\. Take a multiple of 4"
    ):
        SPACE.resolve({"mixing": "attention", "hidden_dim": 30})
    assert SPACE.resolve({"hidden_dim": 30})["hidden_dim"] == 30


def test_every_declared_parameter_says_what_it_means():
    assert len(SPACE) >= 20
    assert all(len(SPACE[name].meaning) > 5 for name in SPACE)


def test_every_weight_is_log_scaled():
    weights = [domain for domain in SPACE.values() if not isinstance(domain, Choice) and domain.weight]
    assert len(weights) == 3
    assert all(domain.scale == "log" for domain in weights)


def test_a_preset_changes_defaults_and_what_is_given_is_stronger():
    space = Space(
        {
            "preset": Choice(("small", "large"), "small", "sizes"),
            "width": Int(1, 99, 4, "width"),
            "depth": Int(1, 99, 2, "depth"),
        },
        presets={"large": {"width": 64, "depth": 8}},
    )
    assert space.resolve({}) == {"preset": "small", "width": 4, "depth": 2}
    assert space.resolve({"preset": "large", "depth": 3}) == {"preset": "large", "width": 64, "depth": 3}


def test_a_preset_of_values_that_are_not_admitted_is_refused_where_it_is_declared():
    with pytest.raises(SpaceError, match="width=100 is above 99"):
        Space({"width": Int(1, 99, 4, "width")}, presets={"large": {"width": 100}})


@pytest.mark.parametrize("name", ["../up", "a/b", "größe", "x" * 300, "", "a b", "0.5"])
def test_a_name_that_is_no_name_of_a_column_folder_and_mlflow_parameter_is_refused(name):
    with pytest.raises(SpaceError, match="would not do as a column, a folder and an MLflow parameter"):
        Space({name: Float(0.0, 1.0, 0.5, "a weight")})
