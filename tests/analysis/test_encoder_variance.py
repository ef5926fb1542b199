"""The study of encoder variance recovers each planted state, direction and encoder, and claims nothing of nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from planted_encoders import COLLAPSE_TEXT, DEPTHS, GRID, WEIGHTS, EncoderTruth, PlantedEncoders, grid_truths

from analysis import encoder_variance
from analysis.effects import estimate
from analysis.load import load_table
from analysis.recommendation import contrasts_with_best
from analysis.report import write_report

pytestmark = pytest.mark.slow

SAME_CROSS = dict.fromkeys(WEIGHTS, 0.3)
SAME_WITHIN = dict.fromkeys(WEIGHTS, 0.1)
RISING = dict(zip(WEIGHTS, (0.02, 0.05, 0.1, 0.3), strict=True))
FALLING = dict(zip(WEIGHTS, (0.3, 0.1, 0.05, 0.02), strict=True))
DYING = dict(zip(WEIGHTS, (0.4, 0.35, 0.2, 0.01), strict=True))
ENCODERS = {
    "standard": EncoderTruth(cross=0.4, params={"encoder_type": "standard"}),
    "lpn": EncoderTruth(cross=0.1, within=0.1, params={"encoder_type": "lpn_var"}),
    "hybrid": EncoderTruth(cross=0.1, within=0.1, params={"encoder_type": "hybrid_variational"}),
    "etrm": EncoderTruth(cross=0.55, params={"encoder_type": "trm_style"}),
    "cut": EncoderTruth(
        cross=0.4, reached=0.0, ratio=0.0, params={"encoder_type": "trm_style", "detached_context": True}
    ),
}
DRAWN = {"encoder_type": "hybrid_variational"}
STATES = {
    "collapsed": (
        EncoderTruth(cross=0.01, within=0.001, params=DRAWN),
        "collapsed to deterministic",
        "Raise kl_weight",
    ),
    "drowned": (
        EncoderTruth(cross=0.01, within=0.3, params=DRAWN),
        "stochastic and uninformative",
        "latent_dim",
    ),
    "fixed": (EncoderTruth(cross=0.4, within=0.0005, params=DRAWN), "deterministic and healthy", ""),
    "alive": (EncoderTruth(cross=0.4, within=0.2, params=DRAWN), "variational and healthy", ""),
}


@pytest.fixture
def table(tmp_path):
    def write(truths, **more):
        folder = tmp_path / f"records_{len(list(tmp_path.iterdir()))}"
        given = {"analysis": "encoder_variance", **more}
        return load_table(PlantedEncoders(truths, **given).write(folder))

    return write


@pytest.fixture
def grid(table):
    def write(cross=SAME_CROSS, within=SAME_WITHIN, latent=0.0, depth=0.0, **more):
        fixed = {"encoder_type": "hybrid_variational"}
        return table(grid_truths(cross, within, latent, depth), grid=GRID, fixed=fixed, **more)

    return write


def findings(given):
    """Return the study's own findings with the error rate of a whole report."""
    with_best, further = contrasts_with_best(given)
    effects = estimate(given, [*encoder_variance.contrasts(given), *with_best], further)
    return {found.id: found for found in encoder_variance.findings(given, effects)}


def four_states():
    return {name: truth for name, (truth, _, _) in STATES.items()}


def test_each_of_the_four_states_is_recovered_with_its_advice(table):
    found = findings(table(four_states(), noise=0.5))
    for name, (_, state, advice) in STATES.items():
        said = found[f"encoder_state[{name}]"]
        assert said.verdict == ("supported" if "healthy" in state else "rejected"), name
        assert f"is {state}:" in said.statement
        assert advice in said.advice


def test_no_kl_weight_is_advised_to_an_encoder_that_has_no_latent(table):
    found = findings(
        table({**four_states(), "etrm": EncoderTruth(cross=0.001, params={"encoder_type": "trm_style"})})
    )
    assert found["encoder_state[etrm]"].verdict == "rejected"
    assert "kl_weight" not in found["encoder_state[etrm]"].advice
    assert "gets gradient" in found["encoder_state[etrm]"].advice


def test_noise_that_is_large_in_number_and_small_beside_the_signal_is_no_sampling(table):
    loud = EncoderTruth(cross=0.4, within=0.05, rms=100.0)
    found = findings(table({**four_states(), "loud": loud}, noise=0.5))["encoder_state[loud]"]
    assert "is deterministic and healthy" in found.statement


def test_contexts_that_differ_less_than_sampling_moves_them_are_not_informative(table):
    buried = EncoderTruth(cross=0.2, within=20.0)
    found = findings(table({**four_states(), "buried": buried}, noise=0.5))["encoder_state[buried]"]
    assert found.verdict == "rejected"
    assert "is stochastic and uninformative" in found.statement


def test_a_cell_at_a_bound_is_open(table):
    found = findings(table({**four_states(), "edge": EncoderTruth(cross=0.05, within=0.2)}))
    assert found["encoder_state[edge]"].verdict == "undecided"
    assert found["representation_collapse[edge]"].verdict == "undecided"
    said = found["encoder_state[edge]"].statement
    assert "is open (by its estimates " in said


def test_a_low_but_not_collapsed_diversity_is_called_suspicious(table):
    given = table({**four_states(), "low": EncoderTruth(cross=0.1, within=0.2)}, noise=0.5)
    found = findings(given)["representation_collapse[low]"]
    assert found.verdict == "rejected"
    assert "suspicious below 0.15" in found.statement
    state = findings(given)["encoder_state[low]"]
    assert state.verdict == "supported"
    assert "low is variational and suspicious: cross ratio 0.1" in state.statement
    assert "healthy" not in state.statement
    effects = estimate(given, encoder_variance.contrasts(given))
    listing = next(x for x in encoder_variance.exhibits(given, effects) if x.name == "encoder_states")
    rows = {row[0]: dict(zip(listing.columns, row, strict=True)) for row in listing.rows}
    assert rows["low"]["state"] == "variational and suspicious"
    assert rows["low"]["cross ratio"].endswith("suspicious below 0.15")
    assert rows["alive"]["state"] == "variational and healthy"


def test_survivors_of_a_guard_do_not_make_a_cell_healthy(table):
    given = table(four_states(), noise=0.5, guards={"fixed": COLLAPSE_TEXT}, broken_seeds=(1,))
    found = findings(given)
    assert found["representation_collapse[fixed]"].verdict == "undecided"
    assert found["encoder_state[fixed]"].verdict == "undecided"
    assert found["encoder_state[fixed]"].statement.startswith("The state of fixed is open")


def test_the_table_of_states_has_a_row_per_cell_with_intervals_and_advice(table):
    given = table(four_states(), noise=0.5)
    effects = estimate(given, encoder_variance.contrasts(given))
    listing = next(x for x in encoder_variance.exhibits(given, effects) if x.name == "encoder_states")
    rows = {row[0]: dict(zip(listing.columns, row, strict=True)) for row in listing.rows}
    assert rows["drowned"]["state"] == "stochastic and uninformative"
    assert rows["collapsed"]["advice"] == "Raise kl_weight."
    low, high = rows["alive"]["cross ratio"].split("[")[1].rstrip("]").split(", ")
    assert float(low) < 0.4 < float(high)
    low, high = rows["alive"]["within"].split("[")[1].rstrip("]").split(", ")
    assert float(low) < 0.2 < float(high)


@pytest.mark.parametrize(
    ("within", "verdict"), [(RISING, "supported"), (FALLING, "rejected"), (SAME_WITHIN, "undecided")]
)
def test_the_direction_of_the_weight_on_noise_is_told(grid, within, verdict):
    found = findings(grid(within=within))["kl_weight_raises_noise"]
    assert found.verdict == verdict
    assert ("does not raise" in found.statement) == (verdict == "rejected")
    assert ("it lowers it" in found.statement) == (verdict == "rejected")


def test_a_scale_that_shrinks_hides_the_noise_from_its_raw_variance_and_not_from_its_share(table):
    truths = {
        key: EncoderTruth(cross=truth.cross, within=truth.within, rms=shrunk)
        for (key, truth), shrunk in zip(
            grid_truths(FALLING, FALLING).items(), np.repeat([10.0, 1.0, 0.3, 0.1], 4), strict=True
        )
    }
    found = findings(table(truths, grid=GRID, fixed={"encoder_type": "hybrid_variational"}))
    assert found["kl_weight_raises_noise"].verdict == "rejected"
    assert found["kl_weight_raises_noise_share"].verdict == "supported"


@pytest.mark.parametrize(
    ("within", "verdict"), [(RISING, "supported"), (FALLING, "rejected"), (SAME_WITHIN, "undecided")]
)
def test_the_direction_of_the_weight_on_the_share_of_noise_is_told(grid, within, verdict):
    assert findings(grid(within=within))["kl_weight_raises_noise_share"].verdict == verdict


def test_a_weight_that_kills_the_signal_collapses_the_representation(grid):
    found = findings(grid(cross=DYING))
    assert found["kl_weight_collapses"].verdict == "supported"
    assert found["kl_weight_costs_signal"].verdict == "supported"


def test_a_weight_that_costs_signal_need_not_collapse_it(grid):
    found = findings(grid(cross=dict(zip(WEIGHTS, (0.6, 0.5, 0.4, 0.3), strict=True))))
    assert found["kl_weight_costs_signal"].verdict == "supported"
    assert found["kl_weight_collapses"].verdict == "rejected"
    assert "less diverse, but above the bound" in found["kl_weight_collapses"].statement


def test_latent_and_depth_are_credited_with_what_each_does(grid):
    found = findings(grid(latent=1.0))
    assert found["latent_dim_matters"].verdict == "supported"
    assert "more of it, more different" in found["latent_dim_matters"].statement
    assert found["depth_matters"].verdict != "supported"
    assert found["sweet_spot_latent_dim"].statement.startswith("latent_dim 128 is the best")
    found = findings(grid(depth=-1.0))
    assert "less of it, more different" in found["depth_matters"].statement


def test_an_axis_with_a_best_level_in_the_middle_has_no_direction(table):
    truths = {
        (dim,): EncoderTruth(cross=cross, within=0.1) for dim, cross in ((32, 0.1), (64, 0.6), (128, 0.1))
    }
    fixed = {"encoder_type": "hybrid_variational"}
    found = findings(table(truths, grid={"latent_dim": (32, 64, 128)}, fixed=fixed))["latent_dim_matters"]
    assert found.verdict == "supported"
    assert "in no one direction" in found.statement
    assert "of it, more" not in found.statement


def test_encoders_are_held_against_what_the_note_expects(table):
    found = findings(table(ENCODERS, noise=0.5, random_seed=1))
    assert found["etrmtrm_as_diverse_as_standard"].verdict == "supported"
    assert found["variational_less_diverse"].verdict == "supported"
    beside = {
        item.label: item.value
        for item in found["variational_less_diverse"].evidence
        if hasattr(item, "label")
    }
    assert beside["encoder_cross_sample_var, standard (note, O1: 0.15)"] == pytest.approx(0.4, abs=0.05)
    assert beside["encoder_cross_sample_var, lpn (note, O4: 0.05)"] == pytest.approx(0.1, abs=0.02)
    assert "standard (note, O1: 0.15) 0." in found["variational_less_diverse"].statement


def test_an_encoder_that_is_less_diverse_than_expected_is_said_to_be(table):
    dull = EncoderTruth(cross=0.1, params={"encoder_type": "trm_style"})
    vivid = EncoderTruth(cross=0.7, within=0.1, params={"encoder_type": "lpn_var"})
    found = findings(table({**ENCODERS, "etrm": dull, "lpn": vivid}, noise=0.5, random_seed=1))
    assert found["etrmtrm_as_diverse_as_standard"].verdict == "rejected"
    assert found["variational_less_diverse"].verdict == "rejected"


def test_a_detached_context_never_trains_and_one_that_learns_does(table):
    given = table(ENCODERS)
    found = findings(given)["detached_context_never_trains[cut]"]
    assert found.verdict == "supported"
    assert "that of an untrained encoder" in found.statement
    diversity = found.evidence[-1]
    assert diversity.label == "encoder_cross_sample_var, cut"
    assert diversity.value == given.mean("valid/encoder_cross_sample_var", ("cut",))
    learns = EncoderTruth(params={"encoder_type": "trm_style", "detached_context": True})
    assert (
        findings(table({**ENCODERS, "cut": learns}))["detached_context_never_trains[cut]"].verdict
        == "rejected"
    )


def test_one_seed_decides_nothing(grid):
    found = findings(grid(cross=DYING, seeds=(1,))).values()
    assert {f.verdict for f in found if f.verdict != "not_applicable"} == {"undecided"}


def test_the_whole_report_renders_with_maps_and_tables(table, tmp_path):
    truths = {key[:2]: truth for key, truth in grid_truths(DYING, RISING).items() if key[2] == min(DEPTHS)}
    axes = {name: values for name, values in GRID.items() if name != "encoder_num_layers"}
    given = table(truths, grid=axes, fixed={"encoder_type": "hybrid_variational"})
    report = write_report(given, tmp_path / "report")
    names = {path.name for path in (report.folder / "figures").iterdir()}
    assert {"encoder_states_map.png", "gradient_ratio.png"} <= names
    assert {"heatmap_encoder_cross_sample_ratio.png", "heatmap_noise_share.png"} <= names
    assert len((report.folder / "encoder_states.csv").read_text().splitlines()) == 9
    assert "Verdicts per cell" in report.html.read_text()
    cells = json.loads((report.folder / "report.json").read_text())["cells"]
    assert all(0 < cell["metrics"]["valid/noise_share"]["mean"] < 1 for cell in cells)


def test_no_grid_without_differences_makes_a_claim(grid):
    """None of 15 bounds the rate of false claims by 18 % (95 %); none of 60 did when this was written: 5 %."""
    for seed in range(15):
        found = findings(grid(random_seed=seed)).values()
        false = [f.id for f in found if f.verdict == "supported" and "[" not in f.id]
        false += [
            f.id for f in found if f.verdict == "supported" and f.id.startswith("representation_collapse")
        ]
        false += [f.id for f in found if f.verdict == "rejected" and f.id.startswith("encoder_state")]
        assert false == [], f"random_seed={seed}"
