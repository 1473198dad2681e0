"""Tables of a clustering arrange, its charts draw, and neither computes."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from chart_parts import COMPUTING, check_shown, drawing, parts, plain

from recover_nb import charts, tables
from recover_nb.charts.clustering import CLUSTER_COLOURS, CLUSTER_SHAPES, NOISE_LOOK
from recover_nb.charts.kit import in_turn
from recover_nb.clustering import cluster_stability, glance, stability_grid
from recover_nb.core.errors import InputError
from recover_nb.core.theme import theme

QUICK = {"n_resamples": 4, "n_null": 19}


@pytest.fixture(scope="module")
def ds():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(41, 3)) + 8.0 * (np.arange(41) % 2)[:, None]
    points[3] = np.nan
    return xr.Dataset(
        {"features": (("problem", "feature"), points)},
        coords={
            "feature": ["spread", "concentration", "logit_dispersion"],
            "cell": ("problem", ["a"] * 41),
            "problem_id": ("problem", [f"p{i}" for i in range(41)]),
        },
    )


@pytest.fixture(scope="module")
def result(ds):
    return cluster_stability(ds, algorithm="ward", k=2, **QUICK)


@pytest.fixture(scope="module")
def frames(ds, result):
    grid = stability_grid(ds, algorithms=["ward", "hdbscan"], ks=[2, 3], **QUICK)
    return {
        "stability": (charts.plot_stability, tables.stability_points(result)),
        "grid": (charts.plot_stability_grid, tables.grid_lines(grid)),
        "consensus": (charts.plot_consensus, tables.consensus_cells(result)),
        "clusters": (charts.plot_clusters, tables.cluster_points(result, ds)),
        "brush": (brushed, tables.cluster_points(result, ds)),
    }


def brushed(frame):
    ranges = {"spread": (1.0, 9.0), "concentration": (-2.0, 2.0)}
    return charts.plot_cluster_brush(frame, "concentration", "spread", picked=[4, 5], brush=ranges)


NAMES = ("stability", "grid", "consensus", "clusters", "brush")


@pytest.mark.parametrize("name", NAMES)
def test_charts_compute_nothing_and_draw_every_row(frames, name):
    plot, frame = frames[name]
    before = frame.copy()
    spec = plot(frame).to_dict()
    for key, value in parts(spec):
        assert key not in COMPUTING or value is None, (key, value)
    fields = {value for key, value in parts(spec) if key == "field"}
    assert fields <= set(frame.columns)
    drawn = [row for rows in spec["datasets"].values() for row in rows]
    rows = plain(frame[list(drawn[0])])
    assert len({str(row) for row in drawn}) == len({str(row) for row in rows})
    assert all(row in rows for row in drawn[:: max(1, len(drawn) // 50)])
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("name", NAMES)
def test_charts_have_tooltip_title_and_theme(frames, name):
    plot, frame = frames[name]
    spec = plot(frame).to_dict()
    assert spec["title"] and "tooltip" in dict(parts(spec))
    assert all(spec["config"][key] == value for key, value in theme().items() if key != "view")


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_frame_is_refused(frames, name):
    plot, frame = frames[name]
    with pytest.raises(InputError, match="no column"):
        plot(frame.drop(columns=frame.columns[0]))
    with pytest.raises(InputError, match="no row"):
        plot(frame.iloc[:0])


def test_colour_has_a_second_channel(frames):
    for name in ("stability", "grid", "clusters"):
        plot, frame = frames[name]
        assert "shape" in dict(parts(plot(frame).to_dict())), name


def test_many_clusters_look_different():
    colours, shapes = (
        in_turn(range(42), looks).values() for looks in (CLUSTER_COLOURS, CLUSTER_SHAPES)
    )
    looks = set(zip(colours, shapes, strict=True))
    assert len(looks) == 42 and NOISE_LOOK not in looks


def test_cluster_rows(result):
    frame = tables.cluster_rows(result)
    assert frame["cluster"].tolist() == ["0", "1"]
    assert frame["problems"].tolist() == [21, 19] and frame["share"].tolist() == [21 / 40, 19 / 40]
    assert frame["jaccard"].tolist() == result.jaccard.tolist()
    assert frame["reading"].tolist() == ["stable", "stable"]
    assert frame["claimed"].tolist() == result.claimed.tolist()
    assert frame["box_limit"].iloc[0] == result.limit("best_jaccard", "box")


def test_figures_stand_beside_their_limits(result):
    frame = result.to_dataframe().set_index("name")
    # Ward uses no seed, so agreement of seeds does not apply.
    assert frame.index.tolist() == ["mean_jaccard", "best_jaccard", "ari", "pac", "algorithm_ari"]
    assert (
        frame.loc["pac", "stable_when"] == "lower" and frame.loc["ari", "stable_when"] == "higher"
    )
    assert frame.index[frame["deciding"]].tolist() == ["mean_jaccard", "ari", "pac"]
    for name in frame.index:
        assert frame.loc[name, "value"] == result.figures[name]
        assert frame.loc[name, "gaussian_limit"] == result.limit(name, "gaussian")
        assert frame.loc[name, "beyond"] == result.beyond(name)


def test_points_hold_every_draw(result):
    frame = tables.stability_points(result)
    counts = frame.groupby(["source", "kind"]).size().to_dict()
    assert counts == {
        ("data", "value"): 5,
        ("gaussian", "draw"): 95,
        ("gaussian", "limit"): 5,
        ("box", "draw"): 95,
        ("box", "limit"): 5,
    }


def test_consensus_is_thinned_evenly(result):
    frame = tables.consensus_cells(result, side=10)
    assert len(frame) == 100
    assert frame.loc[frame["row"] == frame["column"], "consensus"].tolist() == [1] * 10
    clusters = frame.loc[frame["row"] == 0, "column_cluster"].tolist()
    assert clusters == ["0"] * 5 + ["1"] * 5
    labels = result.labels.values[frame["row_problem"]]
    assert [str(label) for label in labels] == frame["row_cluster"].tolist()
    with pytest.raises(InputError, match="side is 1"):
        tables.consensus_cells(result, side=1)


def test_cluster_points_are_those_clustered(result, ds):
    frame = tables.cluster_points(result, ds)
    assert len(frame) == 40 and 3 not in frame["problem"].tolist()
    row = frame[frame["problem"] == 7].iloc[0]
    assert row["spread"] == ds["features"].values[7, 0] and row["problem_id"] == "p7"
    with pytest.raises(InputError, match="40 problems and the result 41"):
        tables.cluster_points(result, ds.isel(problem=slice(40)))


def test_cluster_points_of_noise_and_without_cells(ds):
    bare = ds.drop_vars(["cell", "problem_id"])
    found = cluster_stability(
        bare, algorithm="hdbscan", min_cluster_size=25, agreement=False, **QUICK
    )
    frame = tables.cluster_points(found, bare)
    assert set(frame["cluster"]) == {"noise"} and set(frame["cell"]) == {""}
    assert len(tables.cluster_rows(found)) == 0
    assert charts.plot_clusters(frame).to_dict()["hconcat"]


def test_grid_lines_need_the_grid(frames):
    with pytest.raises(InputError, match="no column k"):
        tables.grid_lines(pd.DataFrame({"algorithm": []}))
    _, lines = frames["grid"]
    assert set(lines["source"]) == {"data", "gaussian", "box"}
    assert lines["value"].between(-1, 1).all()


def test_a_brush_is_drawn_on_the_axes_of_its_features(frames):
    spec = brushed(frames["brush"][1]).to_dict()
    params = {each["name"]: each for each in spec["params"]}
    assert params["brush"]["value"] == {"x": [-2.0, 2.0], "y": [1.0, 9.0]}
    assert params["picked"]["value"] == [4, 5]
    assert (spec["encoding"]["x"]["field"], spec["encoding"]["y"]["field"]) == (
        "concentration",
        "spread",
    )
    blank = charts.plot_cluster_brush(frames["brush"][1], "spread", "spread").to_dict()
    assert all("value" not in each or each["value"] == [] for each in blank["params"])
    known = "one of spread, concentration, logit_dispersion"
    with pytest.raises(InputError, match=f"x must be {known}, got 'mood'"):
        charts.plot_cluster_brush(frames["brush"][1], "mood", "spread")
    with pytest.raises(InputError, match=f"y must be {known}, got 3; give one name, as a text"):
        charts.plot_cluster_brush(frames["brush"][1], "spread", 3)


def test_a_glance_has_rows_without_a_verdict(ds):
    rows = tables.cluster_rows(glance(ds, algorithm="ward", k=2, n_resamples=2))
    assert list(rows) == ["cluster", "problems", "share", "jaccard"]
    assert rows["problems"].tolist() == [21, 19] and rows["jaccard"].tolist() == [1, 1]
    said = tables.say_glance(glance(ds, algorithm="ward", k=2))
    assert said.startswith("ward cuts 40 problems into 2 clusters (21, 19 problems). Not judged")


def test_sentences_carry_the_figures(result):
    said = tables.say_null(result, "pac")
    assert f"PAC is {result.figures['pac']:.2f} in the data" in said
    assert (
        f"{np.median(result.nulls['box']['pac']):.2f} (box; {result.limit('pac', 'box'):.2f} at the"
        " 95 %" in said
    )
    with pytest.raises(InputError, match="no figure 'mood'; allowed: mean_jaccard"):
        tables.say_null(result, "mood")
    assert tables.say_alignment(result) == ""


def test_a_grid_in_words():
    grid = pd.DataFrame(
        {
            "algorithm": ["ward"] * 4,
            "k": [2, 2, 3, 3],
            "verdict": ["clusters"] * 4,
            "family_verdict": ["clusters", "clusters", "not_above_null", "not_above_null"],
            "p_family": [0.05, 0.05, 0.2, 0.2],
        }
    )
    assert (
        tables.say_grid(grid)
        == "Tried alone, 2 of 2 clusterings would count as real. Corrected for trying all 2, 1"
        " still is: ward 2 (p = 0.05)."
    )


def test_a_result_is_drawn_as_its_frame(ds, result, frames):
    check_shown(result, charts.plot_stability(frames["stability"][1]))
    for name, data in (
        ("stability", (result,)),
        ("consensus", (result,)),
        ("clusters", (result, ds)),
    ):
        plot, frame = frames[name]
        assert drawing(plot(*data)) == drawing(plot(frame)), name
    with pytest.raises(InputError, match=r"the features of its study: plot_clusters\(found, ds\)"):
        charts.plot_clusters(result)


def test_a_grid_is_drawn_as_its_lines(ds):
    grid = stability_grid(ds, algorithms=["ward"], ks=[2, 3], **QUICK)
    lines = charts.plot_stability_grid(tables.grid_lines(grid))
    assert drawing(charts.plot_stability_grid(grid)) == drawing(lines)


def test_figures_are_labelled(ds, result, tmp_path):
    found = result.dataset
    assert found["label"].dims == ("problem",) and found.sizes["problem"] == 41
    assert int(found["label"][3]) == -2  # without features
    assert found["size"].values.tolist() == [21, 19]
    assert found["consensus"].dims == ("member", "member_too")
    assert found["draws"].dims == ("figure", "null", "draw") and found.sizes["draw"] == 19
    of_pac = found.sel(figure="pac")
    assert float(of_pac["value"]) == result.figures["pac"]
    for null in ("gaussian", "box"):
        one = of_pac.sel(null=null)
        assert float(one["limit"]) == result.limit("pac", null)
        assert float(one["p"]) == result.p("pac", null)
        assert one["draws"].values.tolist() == list(result.nulls[null]["pac"])
    assert found["agreement"].sel(algorithm="kmeans") == result.agreement["kmeans"]
    # Two that are in one cluster in every resample lie side by side.
    first = found["problem_of"].values[:21]
    assert (found["label"].values[first] == 0).all()
    found.to_netcdf(tmp_path / "found.nc")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "found.nc"), found)
