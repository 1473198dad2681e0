"""Remapping: new numbers, same program; what survives, by hand and planted; shipped companions."""

import json
import re

import numpy as np
import pytest
import xarray as xr
from chart_parts import COMPUTING, check_shown, parts

import recover_nb as rnb
from recover_nb import tables, tasks
from recover_nb.charts.calculator import plot_calculator
from recover_nb.charts.remapping import plot_remapping
from recover_nb.cli import main
from recover_nb.core.checkpoints import checkpoint_hash
from recover_nb.core.errors import InputError
from recover_nb.core.labels import SOLVED, Companion, Regime
from recover_nb.core.schema import failed_rollouts
from recover_nb.core.shipped import data_folder
from recover_nb.generation import companions
from recover_nb.generation.lineage import checkpoint_folder
from recover_nb.routing.remapping import ANY, remap_survival
from recover_nb.stats.agreement import cohen_kappa

ENDS = ("", "_low", "_high")
HARD, BEYOND, AGAIN = (each.value for each in Regime)


def study(outcomes, *, seed=0, asked="", units=None, attempts=20, rates=None):
    """Return a study in which each problem had an outcome; `asked` ends every prompt."""
    n = len(outcomes)
    outcomes = np.array(outcomes, dtype=object)
    arms = ["none", "retry", "sparse_steer", "calculator"]
    units = units or [("qwen3", "sft", "program", f"p{i}") for i in range(n)]
    named = zip(("family", "method", "task", "problem_id"), zip(*units, strict=True), strict=True)
    coords = {name: ("problem", np.array(each, dtype=object)) for name, each in named}
    values = np.full((n, len(arms)), 0.5) if rates is None else np.asarray(rates, float)
    return xr.Dataset(
        {
            "prompt": ("problem", np.array([f"{unit[3]}{asked}" for unit in units], dtype=object)),
            "level": ("problem", np.ones(n, np.int32)),
            "n_failed_rollouts": ("problem", np.where(outcomes == SOLVED, 0, 5).astype(np.int32)),
            "regime": ("problem", np.where(outcomes == SOLVED, "", outcomes)),
            "rescue_rate": (("problem", "intervention"), values),
            "attempts": (("problem", "intervention"), np.full((n, len(arms)), attempts, np.int32)),
        },
        coords | {"intervention": arms},
        {"seed": seed, "config_json": "{}"},
    )


ORIGINAL = [BEYOND] * 4 + [HARD] * 3 + [AGAIN] * 2 + [SOLVED]
REDRAWN = [BEYOND, BEYOND, BEYOND, AGAIN, HARD, HARD, AGAIN, AGAIN, AGAIN, SOLVED]
REMAPPED = [BEYOND, AGAIN, SOLVED, BEYOND, HARD, AGAIN, AGAIN, AGAIN, AGAIN, AGAIN]


@pytest.fixture(scope="module")
def by_hand():
    return remap_survival(
        study(ORIGINAL), study(REMAPPED, asked="'"), study(REDRAWN, seed=1), n_bootstrap=50
    )


def test_survival_by_hand(by_hand):
    found = by_hand.survival.sel(group="all")
    expected = {
        BEYOND: (4, 2 / 4, 3 / 4),
        HARD: (3, 1 / 3, 2 / 3),
        AGAIN: (2, 1, 1),
        SOLVED: (1, 0, 1),
    }
    expected[ANY] = (9, 5 / 9, 7 / 9)
    for name, (n, remapped, redrawn) in expected.items():
        one = found.sel(outcome=name)
        assert one["n"] == n
        assert one["remapped"] == pytest.approx(remapped) and one["redrawn"] == pytest.approx(
            redrawn
        )
        assert one["difference"] == pytest.approx(redrawn - remapped)
    # Of the three beyond reach twice, one is so with other numbers too.
    assert found["confirmed"].sel(outcome=BEYOND) == pytest.approx(1 / 3)
    assert found["n_confirmed"].sel(outcome=BEYOND) == 3
    # One task, method and family: each is the whole.
    for group in by_hand.survival["group"].values[1:]:
        xr.testing.assert_allclose(
            by_hand.survival.sel(group=group, drop=True), found.drop_vars(["group", "by"])
        )
    assert by_hand.survival["by"].values.tolist() == ["all", "task", "method", "family"]


def test_depth_by_hand(by_hand):
    assert list(by_hand.outcomes) == [Companion.REMAPPED, Companion.REDRAWN]
    assert by_hand.depth.tolist() == ["structural", "shallow", "shallow", "unsettled"] + [""] * 6


def test_agreement_by_hand(by_hand):
    agreement = by_hand.agreement.sel(group="all")
    assert agreement["agreement"].values.tolist() == pytest.approx([0.5, 0.8])
    # Margins of the redrawn: 3, 4, 2, 1 against 2, 3, 4, 1.
    chance = (3 * 2 + 4 * 3 + 2 * 4 + 1 * 1) / 100
    assert agreement["kappa"].sel(companion="redrawn") == pytest.approx(
        (0.8 - chance) / (1 - chance)
    )
    # One cell and level: chance is the same, without a problem's own pair.
    chance = (3 * 2 + 4 * 3 + 2 * 4 + 1 * 1 - 8) / 90
    assert agreement["chance_within"].sel(companion="redrawn") == pytest.approx(chance)
    assert agreement["kappa_within"].sel(companion="redrawn") == pytest.approx(
        (0.8 - chance) / (1 - chance)
    )
    less = agreement["kappa"].sel(companion="redrawn") - agreement["kappa"].sel(
        companion="remapped"
    )
    assert agreement["kappa_difference"] == pytest.approx(float(less))


def test_cohen_kappa_by_hand():
    assert cohen_kappa([[20, 5], [10, 15]]) == pytest.approx(0.4)
    np.testing.assert_allclose(cohen_kappa([[[1, 0], [0, 1]], [[1, 1], [1, 1]]]), [1, 0])
    assert np.isnan(cohen_kappa([[3, 0], [0, 0]]))


def planted(keeps, n, seed):
    """Outcomes that keep those of the study with a probability, and are drawn anew otherwise."""
    rng = np.random.default_rng(seed)
    original = rng.choice([HARD, BEYOND, AGAIN], n)
    drawn = [
        np.where(rng.random(n) < keep, original, rng.choice([HARD, BEYOND, AGAIN], n))
        for keep in keeps
    ]
    return original, *drawn


def test_a_planted_difference_is_found_and_none_is_not():
    # Drawn anew agrees in a third: 0.8 + 0.2 / 3 against 0.4 + 0.6 / 3.
    original, redrawn, remapped, same = planted((0.8, 0.4, 0.8), 600, 3)
    found = remap_survival(
        study(original), study(remapped, asked="'"), study(redrawn, seed=1), n_bootstrap=300
    )
    one = found.survival.sel(group="all", outcome=ANY)
    assert (
        one["difference_low"] < 0.8 + 0.2 / 3 - 0.6 < one["difference_high"]
        and one["difference_low"] > 0.15
    )
    kappa = found.agreement["kappa"].sel(group="all")
    np.testing.assert_allclose(kappa, [0.4, 0.8], atol=0.07)
    np.testing.assert_allclose(found.agreement["kappa_within"].sel(group="all"), kappa, atol=0.01)
    none = remap_survival(
        study(original), study(same, asked="'"), study(redrawn, seed=1), n_bootstrap=300
    )
    one = none.survival.sel(group="all", outcome=ANY)
    assert one["difference_low"] < 0 < one["difference_high"]


def test_a_question_put_to_several_specialists_counts_once():
    original, redrawn, remapped = planted((0.7, 0.5), 40, 0)
    units = [
        ("qwen3", method, "program", f"p{i}")
        for method in ("sft", "grpo", "self_distill")
        for i in range(40)
    ]

    def three(outcomes, **kwargs):
        return study(np.tile(outcomes, 3), units=units, **kwargs)

    one = remap_survival(
        study(original), study(remapped, asked="'"), study(redrawn, seed=1), n_bootstrap=100
    )
    many = remap_survival(
        three(original), three(remapped, asked="'"), three(redrawn, seed=1), n_bootstrap=100
    )
    for name in ("remapped", "remapped_low", "remapped_high", "difference_low"):
        a, b = (each.survival[name].sel(group="all", outcome=ANY) for each in (one, many))
        assert a == pytest.approx(float(b))


def test_units_are_matched_by_name_not_by_place(by_hand):
    back = slice(None, None, -1)
    remapped = study(REMAPPED, asked="'").isel(problem=back)
    other = remap_survival(
        study([*ORIGINAL, BEYOND]), remapped, study(REDRAWN, seed=1), n_bootstrap=50
    )
    assert (
        other.original.tolist() == ORIGINAL[back]
        and other.outcomes[Companion.REDRAWN].tolist() == REDRAWN[back]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, b, c: (a, c, b), "redrawn asks other prompts"),
        (lambda a, b, c: (a, c, c), "remapped asks a prompt of the study itself"),
        (lambda a, b, c: (a, b, study(REDRAWN, seed=0)), "redrawn has seed 0"),
        (lambda a, b, c: (a, study(REMAPPED, asked="'", attempts=10), c), "attempts of .* differ"),
        (
            lambda a, b, c: (a.isel(problem=slice(9)), b, c),
            r"the study has no problem qwen3\|sft\|program\|p9",
        ),
        (
            lambda a, b, c: (a, b, c.isel(problem=slice(9))),
            r"redrawn has no problem qwen3\|sft\|program\|p9",
        ),
        (
            lambda a, b, c: (a.assign(regime=("problem", [""] * 10)), b, c),
            "the study: a failed problem has no regime",
        ),
    ],
)
def test_wrong_companions_are_refused(change, message):
    given = change(study(ORIGINAL), study(REMAPPED, asked="'"), study(REDRAWN, seed=1))
    with pytest.raises(InputError, match=message):
        remap_survival(*given)
    with pytest.raises(InputError, match="n_bootstrap must be a whole number of at least 1, got 0"):
        remap_survival(*given, n_bootstrap=0)


def test_tables_show_what_was_computed(by_hand):
    rows = tables.survival_rows(by_hand)
    assert rows["outcome"].tolist() == [
        name for name in (HARD, BEYOND, AGAIN, ANY) for _ in range(2)
    ]
    one = rows[(rows["outcome"] == BEYOND) & (rows["companion"] == "remapped")].iloc[0]
    assert one["share"] == 0.5 and one["n"] == 4 and one["difference_points"] == pytest.approx(25)
    assert SOLVED in tables.survival_rows(by_hand, "method", solved=True)["outcome"].tolist()
    said = by_hand.sentence
    assert (
        "beyond_reach (4 problems) stays the same in 75% with new draws and in 50% with new numbers"
        in said
    )
    assert "which cost 25.0 points" in said


def test_calculator_by_hand():
    units = [
        ("qwen3", "sft", task, f"p{i}")
        for i, task in enumerate(["program"] * 3 + ["deduction"] * 2)
    ]
    rates = [
        [0, 0.0, 0, 0.5],
        [0, 0.2, 0, 0.8],
        [0, 0.6, 0, 0.7],
        [0, 0.0, 0, 0.0],
        [0, 0.5, 0, 0.5],
    ]
    ds = study([BEYOND, HARD, AGAIN, BEYOND, AGAIN], units=units, rates=rates)
    frame = tables.calculator_by_regime(ds, n_bootstrap=50).set_index(["group", "regime"])
    one = frame.loc[("all", BEYOND)]
    assert (one["problems"], one["retry_rate"], one["calculator_rate"]) == (2, 0, 0.25)
    assert (one["rescued"], one["retried"], one["lift_points"]) == (0.5, 0, 25)
    assert frame.loc[("program", ANY), "lift_points"] == pytest.approx(100 * (0.5 + 0.6 + 0.1) / 3)
    assert frame.loc[("deduction", ANY), ["lift_low_points", "lift_high_points"]].tolist() == [0, 0]
    assert frame.loc[("deduction", HARD), "problems"] == 0 and np.isnan(
        frame.loc[("deduction", HARD), "retry_rate"]
    )
    # Labels of another draw: p1 is beyond reach there, p2 is not in it, p4 did not fail.
    labels = study([BEYOND, BEYOND, AGAIN, SOLVED], units=[units[i] for i in (0, 1, 3, 4)], seed=1)
    other = tables.calculator_by_regime(ds, labels, n_bootstrap=50).set_index(["group", "regime"])
    assert (
        other.loc[("all", BEYOND), "problems"] == 2
        and other.loc[("all", BEYOND), "calculator_rate"] == 0.65
    )
    assert other.loc[("all", ANY), "problems"] == 3
    by_family = tables.calculator_by_regime(ds, by="family", n_bootstrap=50)
    assert set(by_family["group"]) == {"all", "qwen3"} and len(by_family) == 8
    with pytest.raises(InputError, match="by='cell'; allowed: task, method, family, level"):
        tables.calculator_by_regime(ds, by="cell")
    with pytest.raises(InputError, match="no calculator"):
        tables.calculator_by_regime(ds.sel(intervention=["none", "retry"]))
    with pytest.raises(InputError, match="share no problem"):
        tables.calculator_by_regime(ds, study([BEYOND], units=[("neox", *units[0][1:])]))


def test_charts_draw_the_frames(by_hand):
    ds = study(ORIGINAL)
    drawn = {
        plot_remapping: tables.survival_rows(by_hand),
        plot_calculator: tables.calculator_by_regime(ds, n_bootstrap=20),
    }
    for plot, frame in drawn.items():
        chart = plot(frame).to_dict()
        assert not [key for key, value in parts(chart) if key in COMPUTING and value is not None]
        rows = [row for each in chart["datasets"].values() for row in each]
        number = "share" if "share" in frame else "calculator_rate"
        assert {row[number] for row in rows if row[number] is not None} == set(
            frame[number].dropna()
        )
        with pytest.raises(InputError, match=number):
            plot(frame.drop(columns=number))


def test_a_result_is_drawn_as_its_frame(by_hand):
    check_shown(by_hand, plot_remapping(tables.survival_rows(by_hand)))


def test_figures_are_labelled(by_hand, tmp_path):
    found = by_hand.dataset
    assert found["redrawn"].dims == ("group", "outcome")
    assert found["agreement"].dims == ("group", "companion")
    of_beyond = found.sel(group="all", outcome=BEYOND)
    assert (float(of_beyond["redrawn"]), float(of_beyond["remapped"])) == (3 / 4, 2 / 4)
    assert int(of_beyond["n"]) == 4 and int(of_beyond["n_agreement"]) == 10
    assert found["agreement"].sel(group="all").values.tolist() == pytest.approx([0.5, 0.8])
    assert {*by_hand.survival, *by_hand.agreement} - {*found} == set()
    found.to_netcdf(tmp_path / "found.nc")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "found.nc"), found)
    rows = by_hand.to_dataframe().set_index(["group", "outcome"])
    assert rows.loc[("all", HARD), "difference"] == pytest.approx(2 / 3 - 1 / 3)
    assert len(rows) == 4 * 5
    told = json.loads(json.dumps(by_hand.to_dict(), allow_nan=False))
    assert told["sentence"] == by_hand.sentence and len(told["rows"]) == 20
    assert told["settings"]["n_bootstrap"] == 50


@pytest.mark.parametrize("task", ["arithmetic", "program", "deduction"])
def test_remapped_problems_keep_program_and_split(task):
    problems = tasks.problems(task, "test", 30)
    remapped = tasks.remap_all(problems, 1)
    assert [each.problem_id for each in tasks.remap_all(problems[:7], 1)] == [
        each.problem_id for each in remapped[:7]
    ]
    assert len({each.problem_id for each in remapped}) == 30
    assert {each.problem_id for each in tasks.remap_all(problems, 2)} != {
        each.problem_id for each in remapped
    }
    for old, new in zip(problems, remapped, strict=True):
        assert new.split == "test" and new.prompt != old.prompt and new.level == old.level
        if task == "arithmetic":
            assert re.sub(r"\d+", "n", new.prompt) == re.sub(r"\d+", "n", old.prompt)
            assert eval(new.prompt) == int(new.answer)
        elif task == "program":
            # Loop counts belong to the program; the numbers that are assigned do not.
            assert re.sub(r"=-?\d+", "=n", new.prompt) == re.sub(r"=-?\d+", "=n", old.prompt)
        else:
            assert new.program[2] == old.program[2] and len(new.prompt) == len(old.prompt)


def test_a_program_without_other_numbers_is_refused(monkeypatch):
    monkeypatch.setattr(tasks, "_REMAPPINGS", 1)
    with pytest.raises(InputError, match="remap fewer problems"):
        tasks.remap_all(tasks.problems("program", "test", 30), 1)


SMALL = {"families": "neox", "methods": "sft", "tasks": "program", "n_rollouts": 8, "n_attempts": 3}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return both companions of three problems, one run stopped just before its end and resumed."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("companions")
    configs = {name: companions.companion_config(name, n_problems=3, **SMALL) for name in Companion}

    def stop(*_, **__):
        raise KeyboardInterrupt

    out = folder / "remapped.zarr.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(companions, "compact", stop)
        with pytest.raises(KeyboardInterrupt):
            companions.run_companion(configs[Companion.REMAPPED], out, progress=False)
    assert not out.exists()
    companions.run_companion(configs[Companion.REMAPPED], out, resume=True, progress=False)
    options = (
        "--redraw --family neox --method sft --task program --problems 3 --rollouts 8 --attempts 3"
    )
    assert main.main(["remap", "--out", str(folder / "redrawn.zarr.zip"), *options.split()]) == 0
    return folder


def test_companions_keep_what_is_small(made, capsys):
    assert sorted(path.name for path in made.iterdir()) == ["redrawn.zarr.zip", "remapped.zarr.zip"]
    problems = tasks.problems("program", "test", 3)
    asked = {Companion.REDRAWN: problems, Companion.REMAPPED: tasks.remap_all(problems, 1)}
    for name, expected in asked.items():
        ds = rnb.open_study(made / f"{name}.zarr.zip", load=True)
        assert ds["problem_id"].values.tolist() == [each.problem_id for each in problems]
        assert ds["asked_id"].values.tolist() == [each.problem_id for each in expected]
        assert ds["prompt"].values.tolist() == [each.prompt for each in expected]
        assert (
            not {"token_id", "correct", "entropy"} & set(ds.data_vars) and "rollout" not in ds.dims
        )
        # Mean features of all failed rollouts, from signals that are stored rounded.
        failed = ds["n_failed_rollouts"].values > 0
        assert np.isnan(ds["rollout_features"].values[~failed]).all()
        mean = np.nanmean(ds["rollout_features"].values[failed], axis=1)
        np.testing.assert_allclose(mean, ds["features"].values[failed], rtol=2e-3, atol=2e-3)
        known = ~np.isnan(ds["rollout_features"].values[..., 0])
        assert known.sum(1).tolist() == ds["n_failed_rollouts"].values.tolist()
        config = json.loads(ds.attrs["config_json"])
        assert (
            config["remap_seed"] == (1 if name is Companion.REMAPPED else None)
            and config["seed"] == 1
        )


def test_drawing_again_draws_what_the_study_would_with_another_seed(made):
    ds = rnb.open_study(made / "redrawn.zarr.zip", load=True)
    again = rnb.generate(
        rnb.load_lineage("neox", "sft"),
        tasks.problems("program", "test", 3),
        n_rollouts=8,
        n_attempts=3,
        interventions=["sparse_steer"],
        settings=rnb.Settings(seed=1),
        unit=("neox", "sft"),
    )
    names = ["none", "retry", "sparse_steer"]
    np.testing.assert_array_equal(
        ds["rescue_rate"].sel(intervention=names), again["rescue_rate"].sel(intervention=names)
    )


def test_an_existing_companion_is_not_overwritten(made, capsys):
    assert (
        main.main(["remap", "--out", str(made / "redrawn.zarr.zip"), "--redraw", "--problems", "3"])
        == 2
    )
    assert "exists; choose another --out" in capsys.readouterr().err
    assert main.main(["remap", "--out", str(made / "other.csv")]) == 2
    with pytest.raises(SystemExit) as stop:
        main.main(["remap", "--out", str(made / "other.zarr"), "--seed", "-1"])
    assert stop.value.code == 2
    assert "--seed must be a whole number from 0 to 4294967295, got '-1'" in capsys.readouterr().err


def test_a_companion_may_keep_every_attempt(made):
    options = (
        "--redraw --family neox --method sft --task program --problems 3 --rollouts 8 --attempts 3"
        " --seed 2 --intervention temperature --keep-attempts"
    )
    out = made.parent / f"{made.name}-attempts.zarr.zip"
    assert main.main(["remap", "--out", str(out), *options.split()]) == 0
    kept = rnb.open_study(out, load=True)
    assert set(companions.ATTEMPTS) < set(kept) and "rollout_features" not in kept
    assert kept["intervention"].values.tolist() == ["none", "retry", "temperature"]
    tried = kept["correct"].sel(intervention="temperature") >= 0
    passes = kept["forward_specialist"].sel(intervention="temperature")
    assert ((passes > 0) == tried).all()
    failed = kept["n_failed_rollouts"].values
    assert (failed_rollouts(kept).sum(axis=1) == failed).all()


@pytest.fixture(scope="module")
def shipped():
    return rnb.load_study(), *rnb.load_remapped()


def test_shipped_companions_are_of_the_study(shipped):
    ds, remapped, redrawn = shipped
    assert (
        sum((data_folder() / f"{name}.zarr.zip").stat().st_size for name in Companion) < 1_300_000
    )
    first = ds.isel(problem=np.arange(2700).reshape(18, 150)[:, :50].ravel())
    for each, new_numbers in ((remapped, 1), (redrawn, None)):
        assert each["problem_id"].values.tolist() == first["problem_id"].values.tolist()
        config = json.loads(each.attrs["config_json"])
        assert (config["seed"], config["remap_seed"]) == (1, new_numbers)
        assert (config["n_rollouts"], config["n_attempts"]) == (50, 20)
        for models in json.loads(each.attrs["provenance_json"])["models"].values():
            for role in ("specialist", "ancestor"):
                assert models[f"{role}_sha256"] == checkpoint_hash(
                    checkpoint_folder(*models[role].split("/"))
                )
    assert redrawn["prompt"].values.tolist() == first["prompt"].values.tolist()
    assert set(remapped["split"].values) == {"test"}
    # Every cell of a task asks the same remappings, in the order of their originals.
    for cell in np.split(np.arange(900), 18):
        originals = tasks.problems(str(remapped["task"].values[cell[0]]), "test", 50)
        expected = [each.prompt for each in tasks.remap_all(originals, 1)]
        assert remapped["prompt"].values[cell].tolist() == expected
        assert not set(expected) & {each.prompt for each in originals}


def test_the_fresh_study_is_the_same_study_drawn_again(shipped):
    ds, fresh = shipped[0], rnb.load_fresh()
    for name in ("problem_id", "prompt", "family", "method"):
        assert fresh[name].values.tolist() == ds[name].values.tolist()
    assert (fresh.attrs["seed"], ds.attrs["seed"]) == (2, 0)
    models = [json.loads(each.attrs["provenance_json"])["models"] for each in (fresh, ds)]
    assert models[0] == models[1]
    arms = [str(name) for name in fresh["intervention"].values]
    assert arms[-2:] == ["temperature", "dense_sample"]
    # What came of each attempt gives the rates, and as many rollouts were made of each problem.
    correct = fresh["correct"].transpose("problem", "rollout", "intervention")
    rate = (correct == 1).sum("rollout") / (correct >= 0).sum("rollout").clip(min=1)
    tried = fresh["attempts"].transpose("problem", "intervention").values > 0
    stored = fresh["rescue_rate"].transpose("problem", "intervention").values
    np.testing.assert_allclose(rate.values[tried], stored[tried])
    own = ds["correct"].sel(intervention=arms).transpose("problem", "rollout", "intervention")
    both = (correct.values >= 0) & (own.values >= 0)
    assert both[..., 0].all()
    # Nothing of it was drawn by the study's own random numbers.
    apart = (correct.values != own.values)[both].mean()
    assert 0.1 < apart < 0.5


def test_shipped_companions_are_made_by_the_shipped_models(shipped):
    _, remapped, _ = shipped
    place = int(np.flatnonzero((remapped["method"] == "grpo") & (remapped["family"] == "neox"))[0])
    one = remapped.isel(problem=[place])
    problem = tasks.remap_all(tasks.problems("arithmetic", "test", 1), 1)
    pair = rnb.load_lineage("neox", "grpo")
    again = rnb.generate(
        pair,
        problem,
        interventions=["sparse_steer"],
        settings=rnb.Settings(seed=1),
        unit=("neox", "grpo"),
    )
    names = ["none", "retry", "sparse_steer"]
    np.testing.assert_array_equal(
        one["rescue_rate"].sel(intervention=names), again["rescue_rate"].sel(intervention=names)
    )
    np.testing.assert_allclose(one["features"], again["features"], rtol=1e-4)


def test_a_calculator_has_nothing_to_write_in_deduction(shipped):
    frame = tables.calculator_by_regime(shipped[0], n_bootstrap=10).set_index(["group", "regime"])
    # It never acts there, so attempt by attempt it is retrying.
    assert frame.loc["deduction", "acted"].max() == 0
    assert (frame.loc["deduction", "lift_points"] == 0).all()
