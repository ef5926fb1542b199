"""Descriptions in MLflow: ours follow the records, those of people stay."""

from sweeps.description import NOTE, OWN, description_tags


def test_a_run_without_a_description_or_with_its_question_gets_one():
    assert description_tags({}, "new")[NOTE] == "new"
    assert description_tags({NOTE: "Which pull?"}, "new", "Which pull?")[NOTE] == "new"


def test_our_own_description_is_replaced():
    tags = description_tags({}, "old")
    assert description_tags(tags, "new")[NOTE] == "new"


def test_what_somebody_wrote_stays():
    tags = description_tags({}, "old")
    assert description_tags({**tags, NOTE: "old, and what I think of it"}, "new") == {}
    assert description_tags({NOTE: "mine"}, "new") == {}


def test_a_kill_between_the_two_tags_leaves_a_description_that_is_ours():
    tags = description_tags({}, "old")
    half = {**tags, OWN: description_tags(tags, "new")[OWN]}  # the note itself was not written any more
    assert description_tags(half, "newer")[NOTE] == "newer"


def test_white_space_that_an_editor_adds_changes_nothing():
    tags = description_tags({}, "old\n")
    assert description_tags({**tags, NOTE: "old\n\n"}, "new")[NOTE] == "new"
