"""What an analysis and a caller add to a report: tables, figures, pictures of many pixels."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from matplotlib.figure import Figure
from planted import Planted

from analysis import grid, theme
from analysis.exhibit import Drawing, Listing
from analysis.figures import heatmap
from analysis.gallery import better_corner
from analysis.load import load_table
from analysis.report import LARGEST_SVG, write_report

pytestmark = pytest.mark.slow


def picture(n_points):
    figure = Figure(figsize=(3, 3))
    axes = figure.subplots()
    axes.scatter(*np.random.default_rng(0).normal(size=(2, n_points)), c=np.arange(n_points), s=2)
    return Drawing(f"picture_{n_points}", "Examples", "Read it.", 'Two arms, "side by side".', figure)


@pytest.fixture
def with_exhibits(monkeypatch):
    module = types.ModuleType("own_analysis")
    module.__dict__.update(
        {name: getattr(grid, name) for name in ("contrasts", "findings", "figure_metrics")}
    )
    module.TRADE_OFF = None
    rows = [("a", 0.123456, None, "met"), ("b", float("nan"), 3, None)]
    listing = Listing("targets", "Arms by target", "Read it.", ("arm", "nll", "n", "verdict"), rows)
    module.exhibits = lambda table, effects: [listing, picture(10)] if effects else []
    monkeypatch.setitem(sys.modules, "own_package", types.ModuleType("own_package"))
    monkeypatch.setitem(sys.modules, "own_package.own", module)
    return "own_package.own"


def test_the_exhibits_of_an_analysis_stand_after_the_heatmaps(with_exhibits, tmp_path):
    table = load_table(Planted().write(tmp_path / "records"))
    table.study["analysis"] = with_exhibits
    report = write_report(table, tmp_path / "report")
    page = report.html.read_text()
    places = [
        page.index(f'id="{name}"')
        for name in (
            *("heatmap", "targets-title", "picture_10-title"),
            *("heatmap_rec_tokens-title", "loss_curves-title"),  # as they are printed
        )
    ]
    assert places == sorted(places)
    assert '<th scope="row">a</th><td>0.1235</td><td>–</td><td class="text">met</td>' in page
    assert (report.folder / "targets.csv").read_text() == "arm,nll,n,verdict\na,0.123456,,met\nb,,3,\n"


def test_pictures_of_the_caller_come_last_and_large_ones_as_png(tmp_path):
    records = Planted().write(tmp_path / "records")
    report = write_report(records, tmp_path / "report", [picture(20), picture(4000)])
    page = report.html.read_text()
    assert (report.folder / "figures" / "picture_4000.svg").stat().st_size > LARGEST_SVG
    assert page.count('src="data:image/png;base64,') == 1
    assert 'alt="Two arms, &quot;side by side&quot;."' in page
    assert page.index('id="picture_20-title"') > page.index('id="shares-heading"')
    assert report.folder / "figures" / "picture_4000.png" in report.files


def test_equal_records_give_equal_bytes_with_tables_and_pictures(tmp_path):
    records = Planted().write(tmp_path / "records")
    one, two = (write_report(records, tmp_path / name, [picture(30)]) for name in ("a", "b"))
    assert [p.read_bytes() for p in one.files] == [p.read_bytes() for p in two.files]


def test_a_heatmap_tells_collapsed_from_diverged(planted):
    states = {("vq", 10.0, 1): "collapsed", ("vq", 10.0, 2): "diverged"}
    states |= {("none", 0.0, seed): "collapsed" for seed in (1, 2, 3)}
    figure = heatmap(planted(states=states), "valid/rec_tokens")
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {"all 3 collapsed", "n=1, 1 diverged, 1 collapsed"} <= texts
    assert {patch.get_hatch() for patch in figure.axes[0].patches} == {None, "////", "xxxx"}


def test_a_long_name_is_broken_where_its_parts_meet():
    assert theme.wrapped("heteroscedastic_bounded_sigma", 16) == "heteroscedastic_\nbounded_sigma"
    assert theme.wrapped("two words here", 9) == "two words\nhere"
    assert theme.wrapped("-0.5", 10) == "-0.5"
    assert theme.wrapped("1e-05", 20) == "1e-05"


def test_the_better_corner_of_a_trade_off_follows_the_metrics():
    assert better_corner(("min", "min")) == "Down and left"
    assert better_corner(("max", "min")) == "Down and right"
