"""A fit on one family, applied to another: identical families, shifted ones, cases by hand."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from chart_parts import COMPUTING, check_shown, drawing, parts
from scipy.stats import entropy
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler

import recover_nb as rnb
from recover_nb import charts, tables
from recover_nb.core.errors import InputError
from recover_nb.prediction.transfer import assignment_entropy, transfer, transfer_clusters
from recover_nb.prediction.transfer_result import Transfer
from recover_nb.routing.evaluation import evaluate_routing
from recover_nb.routing.simulate import make_study

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference"
FEW = {
    "n_null": 20,
    "n_splits": 5,
    "n_bootstrap": 50,
    "n_permutations": 50,
    "populations": ["failed"],
}
CELLS = (("qwen3", "sft", "arithmetic"), ("qwen3", "grpo", "arithmetic"))


def one_family(seed=0):
    """Return a study of one family, in which the operator that the policy chooses gains 0.3."""
    return make_study(effect="tied", n_problems=60, cells=CELLS, seed=seed)


def two_families(change=lambda features: features, seed=0):
    """The same study twice, under two families; `change` alters the second's features."""
    first = one_family(seed)
    second = first.assign_coords(family=("problem", ["neox"] * first.sizes["problem"]))
    return xr.concat([first, second.assign(features=change(second["features"]))], "problem")


def directions(found):
    """Return the figures of each direction, over the first population."""
    whole = found.dataset.isel(population=0)
    return [whole.isel(direction=i) for i in range(whole.sizes["direction"])]


def figures(one, standardisation, estimator):
    """Return the figures of routing in one direction as numbers."""
    at = one.sel(standardisation=standardisation, estimator=estimator)
    return {name: float(at[name]) for name in ("n", "routed", "retry", "lift", "low", "high")}


def ari(one, assigned):
    return float(one["ari"].sel(assigned=assigned))


def share(one, assignment):
    return one["share"].sel(assignment=assignment).values


@pytest.fixture(scope="module")
def identical():
    return transfer(two_families(), **FEW)


@pytest.fixture(scope="module")
def moved():
    """Return a transfer to features twice as wide, and spread higher by 200: scale alone."""
    return transfer(two_families(lambda features: 2 * features + [200, 0, 0]), **FEW)


def test_identical_families_lose_nothing(identical):
    assert [(each["source"].item(), each["target"].item()) for each in directions(identical)] == [
        ("qwen3", "neox"),
        ("neox", "qwen3"),
    ]
    for each in directions(identical):
        assert ari(each, "frozen") == ari(each, "refitted") == 1.0
        assert 0 < ari(each, "halves") < 1
        assert share(each, "frozen") == pytest.approx(share(each, "own"))
        assert each["shift"].values == pytest.approx(np.zeros(3))
        assert each["scale"].values == pytest.approx(np.ones(3))
        assert float(each["same_routes"]) == 1.0
        assert figures(each, "frozen", "published") == figures(each, "refitted", "published")
        lost = each.sel(estimator="published")
        assert [float(lost[name]) for name in ("lost", "lost_low", "lost_high")] == [0.0] * 3


def test_only_frozen_figures_feel_a_change_of_scale(identical, moved):
    for same, other in zip(directions(identical), directions(moved), strict=True):
        assert ari(other, "frozen") == 0.0
        assert ari(other, "refitted") == pytest.approx(1.0)
        assert assignment_entropy(share(other, "frozen")) == 0.0
        assert assignment_entropy(share(other, "refitted")) > 1.0
        for name in ("refitted", "by_cell"):
            before, after = (figures(each, name, "published") for each in (same, other))
            assert (after["n"], after["lift"]) == pytest.approx((before["n"], before["lift"]))
        assert float(other["same_routes"]) < 0.7
    forward = directions(moved)[0]
    assert float(forward["shift"][0]) > 10 and float(forward["scale"][0]) == pytest.approx(2)
    # Routing by another family's scale costs what the tied effect gives.
    assert float(forward["lost"].sel(estimator="published")) < 0
    excess = forward["excess"]
    assert float(excess.sel(standardisation="frozen")) < float(
        excess.sel(standardisation="refitted")
    )


def test_frozen_routes_are_those_of_the_sources_mean_and_sd():
    """By definition: z by the source's steerable_hard problems, largest z, else the fallback."""
    ds = two_families(lambda features: 2 * features - 1)
    source, target = (
        ds.isel(problem=np.flatnonzero(ds["family"].values == name)) for name in ("qwen3", "neox")
    )
    by_source = source["features"].values[source["regime"].values == "steerable_hard"]
    hard = target["regime"].values == "steerable_hard"
    z = ((target["features"].values - by_source.mean(0)) / by_source.std(0))[hard]
    operators = np.array(
        ["dense_steer", "sparse_steer", "local_temperature", "sparse_steer_random"]
    )
    route = operators[np.where(z.max(1) > 0, z.argmax(1), 3)]
    rate = target["rescue_rate"].isel(problem=np.flatnonzero(hard))
    routed = rate.sel(intervention=xr.DataArray(route, dims="problem")).values
    found = figures(directions(transfer(ds, **FEW))[0], "frozen", "published")
    assert found["n"] == hard.sum()
    assert found["routed"] == pytest.approx(routed.mean())
    assert found["lift"] == pytest.approx((routed - rate.sel(intervention="retry").values).mean())


def test_by_cell_is_what_evaluate_routing_says_of_the_target():
    ds = two_families(lambda features: features + 1, seed=3)
    target = ds.isel(problem=np.flatnonzero(ds["family"].values == "neox"))
    few = {"n_bootstrap": 20, "n_permutations": 20, "n_null": 20, "n_splits": 5}
    theirs = evaluate_routing(target, populations=["failed"], **few)
    one = directions(transfer(ds, **FEW))[0]
    lifts = {
        name: (figures(one, "by_cell", name)["lift"], float(theirs.lift(name)["lift"]))
        for name in ("published", "all", "split")
    }
    for name in ("published", "all"):
        assert lifts[name][0] == pytest.approx(lifts[name][1])
    assert lifts["split"][0] == pytest.approx(lifts["split"][1], abs=0.05)


def test_ari_by_hand():
    """Source: 0s and 10s, so that the border lies at 5.

    Target: 0, .1, .2 | 4.8, 5.2, 5.3 by its own two clusters.

    Contingency (3, 0), (1, 2): pairs together in both 3 + 1 = 4; in rows 3 + 3, in columns 6 + 1;
    of 15 pairs 6 * 7 / 15 = 2.8 by chance: (4 - 2.8) / (6.5 - 2.8).
    """
    source = np.repeat([[0.0], [10.0]], 5, axis=0)
    target = np.array([[0.0], [0.1], [0.2], [4.8], [5.2], [5.3]])
    found = transfer_clusters(source, target, np.arange(6), k=2, seed=0)
    # ARI: frozen, refitted, halves. Shares: the source's own, frozen, refitted, the target's own.
    assert found["ari"][0] == pytest.approx(1.2 / 3.7)
    assert found["ari"][1] == 1.0
    assert sorted(found["share"][1]) == pytest.approx([2 / 6, 4 / 6])
    assert found["share"][3].tolist() == found["share"][0].tolist() == [0.5, 0.5]


def test_entropy_by_hand():
    assert assignment_entropy(np.array([0.5, 0.5])) == pytest.approx(np.log(2))
    assert assignment_entropy(np.array([0.25, 0.75, 0.0])) == pytest.approx(
        0.25 * np.log(4) + 0.75 * np.log(4 / 3)
    )
    assert assignment_entropy(np.array([1.0, 0.0])) == 0.0


def test_clusters_and_scales_are_scikit_learns(moved):
    """StandardScaler, KMeans and adjusted_rand_score by hand: equal but for rounding."""
    source, target = (
        one["features"].values
        for _, one in two_families(lambda features: 2 * features + [200, 0, 0]).groupby(
            "family", squeeze=False
        )
    )
    # Groups come in the order of the alphabet: neox, the second, first.
    source, target = target, source
    mine, other = StandardScaler().fit(source), StandardScaler().fit(target)
    forward = directions(moved)[0]
    assert forward["shift"].values == pytest.approx(
        (other.mean_ - mine.mean_) / mine.scale_, abs=1e-9
    )
    assert forward["scale"].values == pytest.approx(other.scale_ / mine.scale_, abs=1e-9)
    fitted = KMeans(3, n_init=10, random_state=0).fit(mine.transform(source))
    own = KMeans(3, n_init=10, random_state=0).fit(other.transform(target))
    frozen, refitted = (
        fitted.predict(mine.transform(target)),
        fitted.predict(other.transform(target)),
    )
    assert ari(forward, "frozen") == pytest.approx(adjusted_rand_score(own.labels_, frozen))
    assert ari(forward, "refitted") == pytest.approx(adjusted_rand_score(own.labels_, refitted))
    assert assignment_entropy(share(forward, "source")) == pytest.approx(
        entropy(np.bincount(fitted.labels_))
    )


def test_progress_tells_every_direction():
    told = []
    transfer(two_families(), **FEW, progress=told.append)
    assert told == ["neox", "qwen3"]


def test_leave_one_out_takes_every_other_part_together():
    ds = two_families()
    found = transfer(ds, by="cell", **FEW)
    figures = found.dataset.isel(population=0)
    assert figures["target"].values.tolist() == list(dict.fromkeys(rnb.cell_names(ds)))
    assert figures["source"].values[0] == "not qwen3|sft|arithmetic"
    assert figures["direction"].values[0] == "not qwen3|sft|arithmetic to qwen3|sft|arithmetic"
    total = figures["n_target"].sum()
    assert (figures["n_source"] == total - figures["n_target"]).all()
    pairs = transfer(ds, by="method", leave_one_out=False, **FEW)
    assert pairs.dataset.sizes["direction"] == 2


def test_a_table_without_attempts_has_no_split():
    ds = two_families().drop_vars("correct")
    found = transfer(ds, **FEW)
    known = found.dataset["n"].notnull().all(("population", "direction", "standardisation"))
    assert known["estimator"].values[known].tolist() == ["published", "all"]
    of_split = found.dataset.sel(estimator="split")
    for name in ("n", "routed", "retry", "lift", "low", "high", "lost", "lost_low", "lost_high"):
        assert of_split[name].isnull().all(), name
    assert set(found.to_dataframe()["estimator"]) == {"published", "excess", "all"}


def test_the_seed_decides_and_input_is_not_changed(identical):
    ds = two_families()
    before = ds.copy(deep=True)
    again = transfer(ds, **FEW)
    xr.testing.assert_identical(again.dataset, identical.dataset)
    assert again.to_dict() == identical.to_dict()
    xr.testing.assert_identical(ds, before)
    means = [
        float(
            each.dataset["null_mean"].isel(population=0, direction=0).sel(standardisation="frozen")
        )
        for each in (transfer(ds, seed=1, **FEW), identical)
    ]
    assert means[0] != means[1]
    json.dumps(identical.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"by": "regime"},
            "by is 'regime' (unknown); allowed here: family, method, task, model, cell",
        ),
        ({"by": "task"}, "the study has one task, arithmetic; transfer needs two or more"),
        ({"k": 1}, "k"),
        ({"n_null": 0}, "n_null"),
        ({"n_splits": 2.5}, "n_splits"),
        ({"k": 80}, "different failed problems for 80 clusters; allowed: at least 160"),
    ],
)
def test_bad_input_is_one_clear_sentence(kwargs, message):
    with pytest.raises(InputError) as caught:
        transfer(two_families(), **FEW | kwargs)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not REFERENCE.exists(), reason="the authors' table is not here")
def test_authors_rows_by_cell_give_the_golden_lifts():
    ds = rnb.from_profiles(REFERENCE / "published_profiles.csv")
    golden = json.loads((REFERENCE / "golden.json").read_text())
    found = transfer(ds, by="cell", **FEW)
    assert found.dataset.sizes["direction"] == 4
    for each in directions(found):
        rescue = golden[each["target"].item()]["rescue"]
        routed = figures(each, "by_cell", "published")
        assert (routed["routed"], routed["retry"]) == pytest.approx(
            (rescue["routed"], rescue["retry"]), abs=1e-4
        )
        # One cell is one pool.
        assert figures(each, "refitted", "published") == routed


FRAMES = {
    "clusters": (charts.plot_transfer_clusters, tables.transfer_agreement),
    "routing": (charts.plot_transfer_routing, Transfer.to_dataframe),
}


@pytest.mark.parametrize("name", FRAMES)
def test_charts_compute_nothing(moved, name):
    plot, arrange = FRAMES[name]
    frame = arrange(moved)
    before = frame.copy()
    spec = plot(frame).to_dict()
    for key, value in parts(spec):
        assert key not in COMPUTING or value is None, (key, value)
    assert {value for key, value in parts(spec) if key == "field"} <= {*frame.columns, "zero"}
    # The excess has no permuted routes.
    drawn = len(frame[frame["estimator"] != "excess"]) if name == "routing" else len(frame)
    assert sum("zero" not in row for rows in spec["datasets"].values() for row in rows) == drawn
    pd.testing.assert_frame_equal(frame, before)
    with pytest.raises(InputError, match="no column"):
        plot(frame[["direction"]])


def test_tables_hold_the_figures(moved):
    rows = tables.transfer_clusters(moved)
    first = directions(moved)[0]
    assert rows.loc[0, "direction"] == "qwen3 to neox"
    assert rows.loc[0, "ari_refitted"] == ari(first, "refitted")
    assert rows.loc[0, "evenness_own"] == pytest.approx(rows.loc[0, "entropy_own"] / np.log(3))
    assert rows.loc[0, "scale_spread"] == pytest.approx(2)
    routing = moved.to_dataframe()
    one = routing[
        (routing["standardisation"] == "frozen") & (routing["estimator"] == "excess")
    ].iloc[0]
    excess = float(first["excess"].sel(standardisation="frozen"))
    assert one["points"] == pytest.approx(100 * excess)
    losses = tables.transfer_losses(moved)
    assert losses["estimator"].tolist()[:3] == ["published", "split", "all"]
    assert losses.loc[0, "points"] == pytest.approx(
        100 * float(first["lost"].sel(estimator="published"))
    )
    assert losses.loc[0, "low_points"] <= losses.loc[0, "points"] <= losses.loc[0, "high_points"]


def test_rows_of_a_transfer(moved):
    frame = moved.to_dataframe()
    assert frame["direction"].unique().tolist() == ["qwen3 to neox", "neox to qwen3"]
    assert frame["standardisation"].unique().tolist() == ["frozen", "refitted", "by_cell"]
    assert frame["estimator"].tolist()[:4] == ["published", "excess", "split", "all"]
    assert len(frame) == 2 * 3 * 4
    excess = frame["estimator"] == "excess"
    assert frame.loc[excess, ["routed", "retry"]].isna().all(axis=None)
    assert frame.loc[excess, "p"].between(0, 1).all() and frame.loc[~excess, "p"].isna().all()
    first = frame.iloc[3]
    known = figures(directions(moved)[0], "frozen", "all")
    assert first["estimator"] == "all" and first["n"] == known["n"] == 120
    assert first["points"] == pytest.approx(100 * (first["routed"] - first["retry"]))
    assert first["points"] == pytest.approx(100 * known["lift"])


def test_a_transfer_is_labelled(moved, tmp_path):
    found = moved.dataset
    assert dict(found.sizes) == {
        "population": 1,
        "direction": 2,
        "feature": 3,
        "assigned": 3,
        "assignment": 4,
        "cluster": 3,
        "standardisation": 3,
        "estimator": 3,
    }
    assert found["feature"].values.tolist() == ["spread", "concentration", "logit_dispersion"]
    assert found["share"].sum("cluster").values == pytest.approx(np.ones((1, 2, 4)))
    assert found["lift"].dims == ("population", "direction", "standardisation", "estimator")
    assert found["excess"].dims == ("population", "direction", "standardisation")
    assert found["lost"].dims == ("population", "direction", "estimator")
    assert abs(found["lift"] - (found["routed"] - found["retry"])).max() < 1e-12
    for value, low, high in (
        ("lift", "low", "high"),
        ("excess", "excess_low", "excess_high"),
        ("lost", "lost_low", "lost_high"),
    ):
        assert (found[low] <= found[value]).all() and (found[value] <= found[high]).all()
        assert (found[low] < found[high]).any()
    published = found["lift"].sel(estimator="published", drop=True)
    assert (published - found["null_mean"]).values == pytest.approx(found["excess"].values)
    assert (found["null_sd"] > 0).all()
    assert moved.settings["by"] == "family" and moved.settings["k"] == 3
    counts = {name: value for name, value in FEW.items() if name != "populations"}
    assert moved.settings | counts == moved.settings
    found.to_netcdf(tmp_path / "moved.nc")
    again = Transfer(xr.load_dataset(tmp_path / "moved.nc"))
    xr.testing.assert_identical(again.dataset, found)
    assert again.to_dict() == moved.to_dict() and again.sentence == moved.sentence


def test_a_transfer_in_words(identical):
    one = directions(identical)[0]
    lost = one.sel(estimator="all")
    value, low, high = (100 * float(lost[name]) for name in ("lost", "lost_low", "lost_high"))
    assert low < value < high
    said = identical.sentence
    assert said.startswith(
        "Failed at least once: qwen3 to neox, routes on the source's scale rescue"
    )
    assert (
        f"qwen3 to neox: routing on the source's scale rescues {value:+.1f} points [{low:+.1f},"
        f" {high:+.1f}] compared with the target's own. The source's clusters agree with the"
        f" target's by an ARI of 1.00; half of the target reaches {ari(one, 'halves'):.2f}. neox to"
        " qwen3: "
    ) in said
    assert said.count("rescues") == 2 and "shuffled within cells (p <= 0.02 (50" in said
    # The operator that the features choose gains 0.3 in both families.
    assert identical.verdict == "supported"


def test_routes_are_held_to_the_same_routes_permuted_within_cells(identical):
    """By definition: each problem scores the mean over its cell's routes, and keeps its own."""
    ds = two_families()
    target = ds.isel(problem=np.flatnonzero(ds["family"].values == "neox"))
    target = target.isel(problem=np.flatnonzero(~np.isnan(target["features"].values).any(1)))
    source = ds.isel(problem=np.flatnonzero(ds["family"].values == "qwen3"))
    by_source = source["features"].values[source["regime"].values == "steerable_hard"]
    z = (target["features"].values - by_source.mean(0)) / by_source.std(0)
    names = ["dense_steer", "sparse_steer", "local_temperature", "sparse_steer_random"]
    rate = target["rescue_rate"].sel(intervention=names).values
    route = np.where(z.max(1) > 0, z.argmax(1), 3)
    routed, permuted = rate[np.arange(len(route)), route], np.zeros(len(route))
    for cell in set(rnb.cell_names(target)):
        here = rnb.cell_names(target) == cell
        share = np.bincount(route[here], minlength=4) / here.sum()
        permuted[here] = rate[here] @ share
    one = directions(identical)[0].sel(standardisation="frozen", estimator="all")
    assert float(one["n"]) == len(route)
    assert float(one["permuted"]) == pytest.approx(permuted.mean())
    lift = float(one["permuted_lift"])
    assert lift == pytest.approx((routed - permuted).mean())
    assert float(one["permuted_low"]) < lift < float(one["permuted_high"])
    # sft and grpo are two checkpoints; no permutation of fifty reaches the routes.
    assert float(one["permuted_low_checkpoints"]) < lift < float(one["permuted_high_checkpoints"])
    assert float(one["permuted_p"]) == pytest.approx(1 / 51)


def test_routes_without_information_do_not_transfer():
    """Every operator gains alike, so that routing beats retry, and permuted routes do as well."""
    first = make_study(effect="planted", n_problems=60, cells=CELLS, seed=4)
    second = first.assign_coords(family=("problem", ["neox"] * first.sizes["problem"]))
    found = transfer(xr.concat([first, second], "problem"), **FEW)
    for each in directions(found):
        assert figures(each, "frozen", "split")["low"] > 0.1
        one = each.sel(standardisation="frozen", estimator="split")
        assert float(one["permuted_low"]) < 0 < float(one["permuted_high"])
    assert found.verdict == "not shown"


def test_each_population_stands_beside_the_headline():
    ds = two_families()
    found = transfer(ds, **FEW | {"populations": None})
    names = ["failed_first_1", "failed", "failed_first_5"]
    assert found.dataset["population"].values.tolist() == names
    n = found.dataset["n_target"].isel(direction=0).values
    target = ds.isel(problem=np.flatnonzero(ds["family"].values == "neox"))
    observed = target["correct"].sel(intervention="none").values
    first = [(observed[:, :m] == 0).all(1).sum() for m in (1, 5)]
    assert n.tolist() == [first[0], (observed == 0).any(1).sum(), first[1]]
    assert found.to_dataframe()["population"].unique().tolist() == names
    # Of fifteen different problems, thirty clusters cannot be made; one population is left.
    few = transfer(ds, **FEW | {"populations": names, "k": int(n[2] // 2) + 1})
    assert list(few.settings["left_out"]) == ["failed_first_5"]
    assert "Left out: first five answers failed" in few.sentence


def test_a_result_is_drawn_as_its_frame(moved):
    check_shown(moved, charts.plot_transfer_routing(moved.to_dataframe()))
    clusters = charts.plot_transfer_clusters(tables.transfer_agreement(moved))
    assert drawing(charts.plot_transfer_clusters(moved)) == drawing(clusters)
