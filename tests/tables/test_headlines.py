"""The first sentence of a result says what its own figures and its verdict say."""

import recover_nb as rnb
from recover_nb.core.labels import Verdict

CELLS = [("qwen3", "sft", "program"), ("qwen3", "sft", "arithmetic")]


def test_a_reading_within_cells_is_told_over_all_of_them():
    ds = rnb.make_study(n_problems=60, cells=CELLS)
    texts = ["even" if at % 2 else "odd" for at in range(ds.sizes["problem"])]
    options = {"texts": texts, "n_repeats": 1, "populations": ["failed"]}
    found = rnb.reading(ds, within="cell", **options)
    rows = found.to_dataframe()
    auc = rows[rows["reader"] == "features"].set_index("part")["auc"]
    assert list(auc.index)[-1] == "overall"
    assert f"{auc.iloc[0]:.2f}" != f"{auc['overall']:.2f}"
    assert f"an AUC of {auc['overall']:.2f};" in rnb.tables.headline(found)


def test_an_order_that_is_known_without_features_is_not_called_chance():
    ds = rnb.load_study()
    options = {"n_repeats": 1, "n_permutations": 40, "populations": ["failed_first_1"]}
    found = rnb.topography(ds, target="regime", within="cell", **options)
    assert found.p_auc < 0.05 and found.verdict == Verdict.NOT_SHOWN
    assert "their order is better than chance, but nothing more" in rnb.tables.headline(found)
    chance = rnb.topography(ds, **options)
    assert chance.p_auc > 0.05
    assert "an order better than chance is not shown" in rnb.tables.headline(chance)
