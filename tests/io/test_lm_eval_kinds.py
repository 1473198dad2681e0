"""Sample logs of lm-evaluation-harness of every kind: what is read, and what is said of it."""

import json
import shutil
from pathlib import Path

import pytest

import recover_nb as rnb
from recover_nb.core.errors import InputError

SHAPES = Path(__file__).parents[1] / "fixtures" / "lm_eval_shapes"
DATE = "2026-01-01T00-00-00.000001"


def line(doc=0, texts=("7",), hit=1.0, *, without=(), doc_more=None, **more):
    """Return a line as version 0.4.13 writes it."""
    row = {
        "doc_id": doc,
        "doc": {"problem": "3+4="} | (doc_more or {}),
        "target": "7",
        "arguments": {"gen_args_0": {"arg_0": "3+4=", "arg_1": {}}},
        "resps": [list(texts)],
        "filtered_resps": [texts[0]],
        "filter": "none",
        "metrics": ["exact_match"],
        "exact_match": hit,
    } | more
    return {name: value for name, value in row.items() if name not in without}


def lines(path, *rows):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def read(tmp_path, *rows, **options):
    return rnb.from_lm_eval(lines(tmp_path / f"samples_sums_{DATE}.jsonl", *rows), **options)


def grid(ds, arm="none"):
    return ds["correct"].sel(intervention=arm).values.tolist()


def counts(ds):
    return json.loads(ds.attrs["import_counts_json"])


OLD = ("filter", "metrics")


def test_filters_without_a_name(tmp_path):
    """Versions 0.4.3 to 0.4.6 write all documents of one filter, then all of the next."""
    rows = [line(0, ("#### 7",), 1.0), line(1, ("it is 7",), 0.0)]
    rows += [row | {"exact_match": 1.0} for row in rows]
    rows = [{name: value for name, value in row.items() if name not in OLD} for row in rows]
    ds = read(tmp_path, *rows)
    assert grid(ds) == [[1], [0]] and counts(ds)["lines_of_unnamed_filters"] == 2
    assert (
        "2 lines are of further filters that the log does not name; the first line of each"
        " document was read"
    ) in ds.attrs["import_notes"]
    with pytest.raises(InputError, match="no line has the filter 'strict'; it has none"):
        read(tmp_path, *rows, filter="strict")


def test_other_responses_to_a_document_are_no_filter(tmp_path):
    rows = [line(0, ("7",), without=OLD), line(0, ("8",), 0.0, without=OLD)]
    with pytest.raises(InputError, match="rollout 0 of problem 0 under none came before"):
        read(tmp_path, *rows)


def test_named_filters(tmp_path):
    rows = [line(hit=0, filter="strict"), line(hit=1, filter="flexible")]
    assert grid(read(tmp_path, *rows)) == [[0]]
    assert grid(read(tmp_path, *rows, filter="flexible")) == [[1]]


MESSAGES = [{"role": "system", "content": "Add."}, {"role": "user", "content": "3+4="}]
PROMPTS = [
    ({"gen_args_0": {"arg_0": "3+4=", "arg_1": {}}}, "3+4="),
    ([["3+4=", {"until": []}]], "3+4="),
    (["3+4="], "3+4="),
    ({"gen_args_0": {"arg_0": [json.dumps(MESSAGES)], "arg_1": {}}}, "Add.\n3+4="),
    ({"gen_args_0": {"arg_0": MESSAGES, "arg_1": {}}}, "Add.\n3+4="),
    ({"gen_args_0": {"arg_0": MESSAGES[1], "arg_1": {}}}, "3+4="),
    ({"gen_args_0": {"arg_0": ["3+4="], "arg_1": {}}}, "3+4="),
    ({"gen_args_0": {"arg_0": ["[not JSON"], "arg_1": {}}}, "[not JSON"),
    ([[[json.dumps(MESSAGES)], {}]], "Add.\n3+4="),
    ({"gen_args_0": {"arg_0": "3+4=", "arg_1": " 7"}, "gen_args_1": {"arg_0": "x"}}, "3+4="),
]


@pytest.mark.parametrize(("arguments", "expected"), PROMPTS, ids=str)
def test_prompts(tmp_path, arguments, expected):
    ds = read(tmp_path, line(arguments=arguments))
    assert ds["prompt"].item() == expected and grid(ds) == [[1]]


@pytest.mark.parametrize("arguments", [{}, [], {"gen_args_0": {"arg_0": [1]}}, [[7]], "x" * 0])
def test_prompts_that_cannot_be_read(tmp_path, arguments):
    with pytest.raises(InputError, match=r"line 1: 'arguments' is .* gen_args_0.arg_0, the prompt"):
        read(tmp_path, line(arguments=arguments))


TARGETS = [
    ("7", "7", 1),
    (7, "7", 1),
    (["7"], "7", 1),
    (["8", "7"], "8 | 7", 1),
    ("['8', '7']", "8 | 7", 1),
    ("['seven']", "seven", 0),
    ("[7, 8]", "[7, 8]", 0),
    ("['7', 8]", "['7', 8]", 0),
    ("['7'", "['7'", 0),
    ({"text": "7"}, '{"text": "7"}', 0),
    (True, "true", 0),
    ([7, 8], "7 | 8", 1),
    (None, "", 0),
]


@pytest.mark.parametrize(("target", "answer", "expected"), TARGETS, ids=str)
def test_targets(tmp_path, target, answer, expected):
    row = line(target=target)
    assert read(tmp_path, row)["answer"].item() == answer
    assert grid(read(tmp_path, row, is_correct="exact")) == [[expected]]


HITS = [
    (1.0, 1),
    (0.0, 0),
    (1, 1),
    (True, 1),
    (False, 0),
    ("1", 1),
    ("0.0", 0),
    ("True", 1),
    ([1.0], 1),
    (0.5, 0),
]


@pytest.mark.parametrize(("hit", "expected"), HITS, ids=str)
def test_metric_values(tmp_path, hit, expected):
    ds = read(tmp_path, line(hit=hit))
    assert grid(ds) == [[expected]]
    assert counts(ds).get("partial_credit") == (1 if hit == 0.5 else None)


@pytest.mark.parametrize("hit", [999, -1, "good", [1, 0], {"a": 1}, "inf", 10**400], ids=str)
def test_metric_values_that_are_no_verdict(tmp_path, hit):
    with pytest.raises(InputError, match="line 1: 'exact_match' is"):
        read(tmp_path, line(hit=hit))


def test_nan_is_not_scored(tmp_path):
    ds = read(tmp_path, line(0), line(1, hit=float("nan")))
    assert grid(ds) == [[1]] and counts(ds)["unscored"] == 1


METRICS = [
    ({"metrics": ["pass@1"], "pass@1": 1.0}, "exact_match", 1),
    ({"metrics": ["math_verify"], "math_verify": 0}, "exact_match", 0),
    ({"acc": 1.0, "acc_stderr": 0.1}, ("metrics", "exact_match"), 1),
    ({"acc": 1.0, "f1": 0.3}, ("metrics", "exact_match"), 1),
    ({"own_score": 1.0}, ("metrics", "exact_match"), 1),
    ({"metrics": ["own_score"], "own_score": 1.0}, "exact_match", 1),
]


@pytest.mark.parametrize(("more", "without", "expected"), METRICS, ids=str)
def test_metrics(tmp_path, more, without, expected):
    ds = read(tmp_path, line(without=without if isinstance(without, tuple) else (without,), **more))
    assert grid(ds) == [[expected]]
    assert counts(ds).get("lines_of_other_metrics") == (1 if "f1" in more else None)


SEVERAL = [
    {"metrics": ["exact_match", "bleu"], "bleu": 0.4},
    {"metrics": ["acc", "acc_norm"], "acc": 1.0, "acc_norm": 0.0},
]


@pytest.mark.parametrize("more", SEVERAL, ids=str)
def test_several_metrics(tmp_path, more):
    names = ", ".join(more["metrics"])
    with pytest.raises(InputError, match=f"line 1 has the metrics {names}; pass metric="):
        read(tmp_path, line(**more))
    assert grid(read(tmp_path, line(**more), metric=more["metrics"][0])) == [[1]]


@pytest.mark.parametrize(
    "more", [{"bypass": 999}, {"bypass": None}, {"metrics": ["bypass"], "bypass": 0}]
)
def test_predictions_alone(tmp_path, more):
    row = line(without=("exact_match",), **more)
    with pytest.raises(InputError, match="made with predict_only, so nothing is graded"):
        read(tmp_path, row)
    assert grid(read(tmp_path, row, is_correct="exact")) == [[1]]


RESPONSES = [
    ([["7"]], [["7"]]),
    ([[["7"]]], [["7"]]),
    ([["7", "8", "9"]], [["7", "8", "9"]]),
    ([[["7", "8"]]], [["7", "8"]]),
    ([[""]], [[""]]),
    ([["7", None]], [["7", ""]]),
]


@pytest.mark.parametrize(("resps", "expected"), RESPONSES, ids=str)
def test_responses(tmp_path, resps, expected):
    ds = read(tmp_path, line(resps=resps), is_correct="exact")
    assert ds["generated_text"].values[:, :, 0].tolist() == expected
    assert grid(ds) == [[int(text == "7") for text in expected[0]]]


LIKELIHOODS = [
    [[[-1.5, False]], [[-0.5, True]]],
    [[["-1.5", "False"]], [["-0.5", "True"]]],
    [[["-1.5", "False"]]],
    [[-1.5, False], [-0.5, True]],
]


@pytest.mark.parametrize("resps", LIKELIHOODS, ids=str)
def test_likelihoods_are_outcomes(tmp_path, resps):
    rows = [
        line(i, resps=resps, hit=0, acc=float(i), metrics=["acc"], target=str(i)) for i in (0, 1)
    ]
    ds = read(tmp_path, *rows)
    assert grid(ds) == [[0], [1]] and counts(ds)["likelihoods"] == 2
    with pytest.raises(InputError, match=r"not log-likelihoods"):
        read(tmp_path, *rows, is_correct="exact")


IDS = [
    (0, {}, "0"),
    ("0", {}, "0"),
    (3.0, {}, "3"),
    (0, {"id": "q"}, "q"),
    (0, {"id": 12}, "12"),
    (0, {"problem_id": "p", "id": "q"}, "p"),
    (0, {"id": ["q"]}, "0"),
    (0, {"id": ""}, "0"),
    (0, {"id": True}, "0"),
    (None, {"id": "q"}, "q"),
]


@pytest.mark.parametrize(("doc", "more", "expected"), IDS, ids=str)
def test_ids(tmp_path, doc, more, expected):
    assert read(tmp_path, line(doc, doc_more=more))["problem_id"].item() == expected


def test_documents_that_share_a_name(tmp_path):
    rows = [line(0, doc_more={"id": "q"}), line(1, doc_more={"id": "q"})]
    ds = read(tmp_path, *rows)
    assert ds["problem_id"].values.tolist() == ["0", "1"]
    assert "several documents are named 'q'; problems are named by doc_id" in str(
        ds.attrs["import_notes"]
    )
    # An arm in which they are unique is named the same way, or nothing would be paired.
    other = lines(tmp_path / "other.jsonl", line(0, doc_more={"id": "q"}))
    both = rnb.from_lm_eval({"none": tmp_path / f"samples_sums_{DATE}.jsonl", "temperature": other})
    assert grid(both, "temperature") == [[1], [-1]]


# Files and folders


def test_arms_of_other_names_share_their_problems(tmp_path):
    cold = lines(tmp_path / f"samples_sums_{DATE}.jsonl", line(hit=0))
    hot = lines(tmp_path / f"samples_sums_hot_{DATE}.jsonl", line())
    ds = rnb.from_lm_eval({"none": cold, "temperature": hot})
    assert (grid(ds), grid(ds, "temperature")) == ([[0]], [[1]])
    assert ds["task"].item() == "sums" and counts(ds)["tasks_paired"] == 1
    lines(hot, line(target="12"))
    with pytest.raises(InputError, match="the answer of problem 0 is '12', and '7' in"):
        rnb.from_lm_eval({"none": cold, "temperature": hot})


def test_a_folder_of_results(tmp_path):
    folder = tmp_path / "out" / "model"
    lines(folder / f"samples_sums_{DATE}.jsonl", line(hit=0))
    lines(folder / "samples_sums_2026-01-02T00-00-00.000001.jsonl", line(hit=1))
    lines(folder / f"samples_products_{DATE}.jsonl", line(hit=0))
    lines(folder / "notes.jsonl", {"a": 1})
    (folder / f"results_{DATE}.json").write_text("{}")
    ds = rnb.from_lm_eval(tmp_path / "out")
    assert dict(zip(ds["task"].values.tolist(), grid(ds), strict=True)) == {
        "products": [0],
        "sums": [1],
    }
    assert counts(ds)["older_logs"] == 1
    shutil.copytree(folder, tmp_path / "out" / "other")
    with pytest.raises(
        InputError, match=r"the task 'products' has logs of 2 runs \(model; other\)"
    ):
        rnb.from_lm_eval(tmp_path / "out")


def test_models_that_the_summaries_name(tmp_path):
    for place, model in enumerate("ab"):
        date = f"2026-01-0{place + 1}T00-00-00.000001"
        lines(tmp_path / "out" / f"samples_sums_{date}.jsonl", line())
        summary = {"results": {}, "model_name": model}
        (tmp_path / "out" / f"results_{date}.json").write_text(json.dumps(summary))
    with pytest.raises(InputError, match=r"has logs of 2 runs \(out a; out b\)"):
        rnb.from_lm_eval(tmp_path / "out")


def test_a_summary_by_mistake(tmp_path):
    summary = tmp_path / f"results_{DATE}.json"
    summary.write_text(json.dumps({"results": {"sums": {"acc,none": 0.5}}}, indent=2))
    with pytest.raises(
        InputError, match=r"the summary of a run.*run the harness with --log_samples"
    ):
        rnb.from_lm_eval(summary)
    samples = lines(tmp_path / f"samples_sums_{DATE}.jsonl", line())
    with pytest.raises(InputError, match=f"such as {samples}"):
        rnb.from_lm_eval(summary)


def test_a_log_of_another_tool(tmp_path):
    other = SHAPES.parent / "inspect_shapes" / "plain_json.json"
    with pytest.raises(InputError, match=r"a log of inspect_ai; read it with from_inspect"):
        rnb.from_lm_eval(other)
    summary = tmp_path / f"results_{DATE}.json"
    summary.write_text('{"results": {}, "configs": {}}')
    with pytest.raises(InputError, match=r"has no 'eval'; it has results, configs; give a log of"):
        rnb.from_inspect(summary)


def test_a_folder_without_logs(tmp_path):
    with pytest.raises(InputError, match=r"file that ends in .jsonl"):
        rnb.from_lm_eval(tmp_path)
    lines(tmp_path / "rollouts.jsonl", line())
    with pytest.raises(InputError, match=r"the folder has no samples_\*.jsonl; give"):
        rnb.from_lm_eval(tmp_path)


def test_the_filter_that_is_graded_well(tmp_path):
    """Real logs of two filters, with and without their names."""
    path = SHAPES / "samples_two_filters.jsonl"
    assert grid(rnb.from_lm_eval(path)) == [[0]] * 6
    assert grid(rnb.from_lm_eval(path, filter="flexible")) == [[1], [0], [1], [0], [1], [0]]
    old = rnb.from_lm_eval(SHAPES / "samples_v0.4.5_two_filters.jsonl")
    assert grid(old) == [[0]] * 6 and counts(old)["lines_of_unnamed_filters"] == 6
