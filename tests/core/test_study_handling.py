"""Whatever people do to a study: figures of what is there, or one sentence."""

import pytest
import study_handling as handling

import recover_nb as rnb

#: Functions that take long: some of what can be done to a study stands for all of it.
LONG = (
    "RoutingExplorer",
    "compare_routers",
    "recover_gain",
    "cluster_stability",
    "rollout_stability",
    "transfer",
    "story",
    "save_zip",
    "to_netcdf",
)


#: Those of one kind stand together, so that every function meets some of each kind every day.
BY_KIND = sorted(handling.DONE, key=lambda does: handling.DONE[does][0])


def everyday(name):
    """Return what is done every day to the study that a function is given: others to the next."""
    if name == "validate":  # The door of all others.
        return BY_KIND
    stride = 24 if name in (*LONG, "to_jsonl", "to_parquet") else 8
    return BY_KIND[list(handling.FUNCTIONS).index(name) % stride :: stride]


def bad(name, tried):
    found = {does: handling.judged(name, does) for does in tried}
    return {
        does: (each.kind, each.said[:200])
        for does, each in found.items()
        if each.kind in (handling.TRACEBACK, handling.WRONG)
    }


@pytest.mark.parametrize("name", handling.FUNCTIONS)
def test_answers_with_figures_or_a_sentence(name):
    assert bad(name, everyday(name)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", handling.FUNCTIONS)
def test_answers_to_everything_with_figures_or_a_sentence(name):
    assert bad(name, list(handling.DONE)[:: 6 if name in LONG else 1]) == {}


def test_every_day_each_function_meets_each_kind_and_everything_is_done_to_some():
    kinds = {kind for kind, _ in handling.DONE.values()}
    tried = {name: everyday(name) for name in handling.FUNCTIONS}
    for name, each in tried.items():
        assert {handling.DONE[does][0] for does in each} == kinds, name
    assert {does for name in tried if name != "validate" for does in tried[name]} == set(BY_KIND)


#: What is done, and words of the sentence: the argument or variable, what was given, what to do.
SAID = {
    "None": ("ds is None", "rnb.open_study(path)"),
    "a path": ("ds is the path 'study.zarr'", "rnb.open_study(path)"),
    "a DataArray": ("ds is a DataArray", "give the Dataset"),
    "a DataFrame": ("ds must be an xarray Dataset, not a DataFrame", "rnb.open_study(path)"),
    "a result": ("ds must be an xarray Dataset, not a Evaluation", "rnb.load_study()"),
    "one problem by number": ("no dimension 'problem'", "ds.isel(problem=[0])"),
    "problem renamed": ("no dimension 'problem'", "example"),
    "no problem": ("ds holds no problem", "choose at least one"),
    "with itself": ("qwen3|sft|arithmetic|", "occurs twice", "ds.isel(problem=...)"),
    "interventions twice": ("intervention 'ancestor' occurs twice",),
    "rollouts twice": ("rollout", "occurs twice", "ds.drop_vars('rollout')"),
    "regraded": ("'rescue_rate' is", "'correct' give", "ds.drop_vars(", "compute_features"),
    "attempts off by one": ("'attempts' is 51 at problem 0, none", "'correct' give 50"),
    "correct is 2": ("'correct' is 2 at problem 0, rollout 0, intervention 0", "1, 0 or -1"),
    "correct is half": (
        "'correct' is 0.5 at problem 0, rollout 0, intervention 0",
        "whole numbers",
    ),
    "negative length": ("'n_tokens' is -4 at problem 0", "0 to 80"),
    "rate of 1.3": ("'rescue_rate' is 1.3 at problem 0", "[0, 1]"),
    "features times 1e300": ("'features' is", "1e-100 and 1e+100", "another unit"),
    "two cells of one name": ("would be one cell", "rename"),
    "a newer schema": ("schema version '2'", "reads '1'"),
    "config is no JSON": ("config_json of the study is not JSON", "a JSON object"),
    "window is huge": ("settings.window of the study is 1e+300", "0 to 1,000,000"),
    "tolerance is NaN": ("regime_tolerance of the study is nan", "0 to 1"),
    "NaN for a task": ("'task' holds nan", "must hold text"),
}


@pytest.mark.parametrize("does", SAID)
def test_sentence_names_what_was_given_and_what_to_do(does):
    with pytest.raises(rnb.InputError) as caught:
        rnb.evaluate_routing(handling.handled()[does], **handling.FEW)
    for words in SAID[does]:
        assert words in str(caught.value)


def test_what_is_dropped_is_counted_anew():
    ds = handling.study()
    less = ds.drop_vars(["rescue_rate", "attempts"])
    assert handling.digest(rnb.evaluate_routing(less, **handling.FEW)) == handling.digest(
        rnb.evaluate_routing(ds, **handling.FEW)
    )


def test_the_study_that_was_given_stays_as_it_was():
    ds = handling.study().transpose().chunk({"problem": 5})
    before = {name: (each.dims, each.dtype) for name, each in ds.variables.items()}
    rnb.evaluate_routing(ds, **handling.FEW)
    assert {name: (each.dims, each.dtype) for name, each in ds.variables.items()} == before


def test_bars_in_a_name_leave_three_parts():
    ds = handling.study().isel(problem=[0])
    ds = ds.assign_coords(task=("problem", ["lm|eval|0"]))
    assert rnb.cell_names(ds).tolist() == ["qwen3|sft|lm¦eval¦0"]


def test_two_cells_a_bar_apart_stay_two():
    ds = handling.study().isel(problem=[0, 1])
    names = {"family": ["a|b", "a"], "method": ["c", "b|c"]}
    ds = ds.assign_coords({name: ("problem", values) for name, values in names.items()})
    assert rnb.cell_names(ds).tolist() == ["a¦b|c|arithmetic", "a|b¦c|arithmetic"]


def test_routes_are_free_of_the_unit():
    features = handling.study()["features"]
    plain = rnb.route(features).values.tolist()
    assert rnb.route(features * 1e300).values.tolist() == plain
    assert rnb.route(features * 1e-300).values.tolist() == plain
    assert len(set(plain)) > 2


def test_overall_is_what_the_command_prints():
    found = handling.evaluation()
    told = found.to_dict()["overall"]
    assert found.overall == told
    assert found.overall["n"] == 40
    assert found.overall["published"]["lift"] == pytest.approx(
        float(found.of("failed").lift("published")["lift"])
    )
