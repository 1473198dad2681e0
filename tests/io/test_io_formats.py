"""Every format is read into one schema, from files of the tools (tests/fixtures/make_*.py)."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from tiny_study import tiny_study

import recover_nb as rnb
from recover_nb.cli.main import main
from recover_nb.core.agreement import COUNTED
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Signal
from recover_nb.core.schema import SIGNAL_TOLERANCE
from recover_nb.core.validation import validate
from recover_nb.io.archive import read_members
from recover_nb.tasks import parse_answer

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXAMPLES = rnb.example_folder()


def last_hash(text, answer):
    """Grade as the shipped tasks do: what follows the last #."""
    return parse_answer(text.strip()) == answer


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class Letters:
    """A tokenizer of letters: a is 0, and z is read as y."""

    def encode(self, text, add_special_tokens=False):
        return [ord(letter) - 97 for letter in text]

    def decode(self, ids, skip_special_tokens=False):
        return "".join(chr(97 + each) for each in ids).replace("z", "y")

    def get_vocab(self):
        return {chr(97 + i): i for i in range(26)}


# JSON lines


ROWS = [
    {
        "pid": 7,
        "rollout_id": 3,
        "generated_text": "no",
        "token_ids": [4, 5],
        "is_correct": False,
        "prompt": "p",
        "answer": "a",
    },
    {"pid": 7, "rollout_id": 9, "generated_text": "yes", "token_ids": [4, 5, 6], "is_correct": 1},
    {
        "pid": 7,
        "rollout_id": 0,
        "generated_text": "yes",
        "token_ids": [8],
        "is_correct": True,
        "intervention": "retry",
    },
    {"pid": 8, "rollout_id": 0, "generated_text": "x", "token_ids": [1], "is_correct": True},
]


def test_json_lines_by_hand(tmp_path):
    ds = rnb.from_jsonl(jsonl(tmp_path / "r.jsonl", ROWS), unit=("llama", "sft"), task="t")
    assert dict(ds.sizes) == {
        "problem": 2,
        "rollout": 2,
        "intervention": 2,
        "token": 3,
        "feature": 3,
    }
    assert ds["problem_id"].values.tolist() == ["7", "8"]
    assert ds["intervention"].values.tolist() == ["none", "retry"]
    assert ds["correct"].values.tolist() == [[[0, 1], [1, -1]], [[1, -1], [-1, -1]]]
    assert ds["token_id"].values[0, :, 0].tolist() == [[4, 5, -1], [4, 5, 6]]
    assert ds["n_failed_rollouts"].values.tolist() == [1, 0]
    np.testing.assert_array_equal(ds["rescue_rate"].values, [[0.5, 1.0], [1.0, np.nan]])
    assert (ds["prompt"].values[0], ds["answer"].values[0]) == ("p", "a")
    assert ds["generated_text"].values[0, 1, 0] == "yes"
    assert rnb.cell_names(ds).tolist() == ["llama|sft|t"] * 2


def test_texts_alone_give_no_traces_and_say_so(tmp_path):
    rows = [{k: v for k, v in row.items() if k != "token_ids"} for row in ROWS]
    ds = rnb.from_jsonl(jsonl(tmp_path / "r.jsonl", rows))
    assert "token" not in ds.dims and "n_tokens" not in ds
    assert ds["correct"].values[0, :, 0].tolist() == [0, 1]
    assert "no rollout has tokens" in ds.attrs["import_notes"][0]


def test_a_tokenizer_gives_traces_and_mismatches_are_counted(tmp_path):
    rows = [
        {"id": "p", "rollout_idx": i, "generated_text": text, "is_correct": i == 0, **given}
        for i, (text, given) in enumerate(
            [
                ("abc", {}),
                ("az", {}),
                (" ab ", {"output_ids": [0, 1]}),
                ("ab", {"output_ids": [0, 2]}),
            ]
        )
    ]
    ds = rnb.from_jsonl(jsonl(tmp_path / "r.jsonl", rows), tokenizer=Letters())
    assert ds["token_id"].values[0, :, 0].tolist() == [
        [0, 1, 2],
        [0, 25, -1],
        [0, 1, -1],
        [0, 2, -1],
    ]
    counts = json.loads(ds.attrs["import_counts_json"])
    assert [counts[name] for name in ("texts_tokenized", "texts_and_tokens_compared")] == [2, 2]
    assert counts["tokenization_mismatches"] == 2
    assert "2 of 4 rollouts do not survive the tokenizer" in ds.attrs["import_notes"][0]


def test_grading_again(tmp_path):
    path = jsonl(tmp_path / "r.jsonl", [row | {"answer": "yes"} for row in ROWS])
    ds = rnb.from_jsonl(path, is_correct=lambda text, answer: text == "no" and answer == "yes")
    assert ds["correct"].values[0, :, 0].tolist() == [1, 0]
    assert "4 of 4 rollouts are graded otherwise" in ds.attrs["import_notes"][0]
    ds = rnb.from_jsonl(path, is_correct="exact")
    assert ds["correct"].values.tolist() == [[[0, 1], [1, -1]], [[0, -1], [-1, -1]]]


def test_grading_tokens_that_have_no_text(tmp_path):
    rows = [
        {"id": "p", "rollout_idx": i, "output_ids": [i, 2], "is_correct": False, "answer": "bc"}
        for i in range(2)
    ]
    ds = rnb.from_jsonl(jsonl(tmp_path / "r.jsonl", rows), is_correct="exact", tokenizer=Letters())
    assert ds["correct"].values[0, :, 0].tolist() == [0, 1]
    assert ds["generated_text"].values[0, :, 0].tolist() == ["ac", "bc"]


def test_later_observed_rollouts_can_be_retry(tmp_path):
    rows = [
        {"id": "p", "rollout_idx": 4 - i, "output_ids": [i], "is_correct": i % 2} for i in range(5)
    ]
    ds = rnb.from_jsonl(jsonl(tmp_path / "r.jsonl", rows), n_observed=2)
    assert ds["token_id"].values[0, :, :, 0].tolist() == [[4, 2], [3, 1], [-1, 0]]
    assert ds["attempts"].values.tolist() == [[2, 3]]
    words = "n_observed must be a whole number of at least 1, or None, got 0"
    with pytest.raises(InputError, match=f"^{words}$"):
        rnb.from_jsonl(tmp_path / "r.jsonl", n_observed=0)


def test_rollouts_without_a_token_are_left_out(tmp_path):
    rows = [{"id": "p", "rollout_idx": i, "output_ids": [3] * i, "is_correct": 0} for i in range(3)]
    ds = rnb.from_jsonl(jsonl(tmp_path / "r.jsonl", rows))
    assert ds["n_tokens"].values[0, :, 0].tolist() == [1, 2]
    assert ds.attrs["import_notes"] == ["1 of 3 rollouts have no token and are left out"]


def test_a_file_an_intervention(tmp_path):
    one = [{"id": "p", "rollout_idx": 0, "generated_text": "a", "is_correct": False}]
    files = {
        name: jsonl(tmp_path / f"{name}.jsonl", one)
        for name in ("none", "temperature", "mine", "sparse_steer")
    }
    ds = rnb.from_jsonl(files)
    assert ds["intervention"].values.tolist() == [
        "none",
        "retry",
        "temperature",
        "sparse_steer",
        "mine",
    ]
    assert ds["correct"].values.tolist() == [[[0, -1, 0, 0, 0]]]


@pytest.fixture(scope="module", params=["tiny", "bundled", "texts"])
def whole(request, tmp_path_factory):
    """Studies to write and read back: made by hand, shipped, and without traces."""
    if request.param == "tiny":
        return tiny_study()
    if request.param == "bundled":
        ds = rnb.load_study().isel(problem=[0, 1, 305, 1799]).load()
        return ds.drop_encoding()
    rows = [{k: v for k, v in row.items() if k != "token_ids"} for row in ROWS]
    return rnb.from_jsonl(jsonl(tmp_path_factory.mktemp("rows") / "r.jsonl", rows))


@pytest.mark.parametrize(
    ("write", "read", "suffix"),
    [
        (rnb.to_jsonl, rnb.from_jsonl, ".jsonl"),
        (rnb.to_parquet, rnb.from_table, ".parquet"),
        (rnb.to_netcdf, rnb.open_study, ".nc"),
    ],
)
def test_what_is_written_is_read_back_equal(whole, write, read, suffix, tmp_path):
    path = write(whole, tmp_path / f"study{suffix}")
    with read(path) as again:
        again.load()
        xr.testing.assert_equal(whole, again)
        for name, variable in whole.variables.items():
            kinds = "OUT" if variable.dtype.kind in "OUT" else variable.dtype.kind
            assert validate(again)[name].dtype.kind in kinds, name
        assert {k: v for k, v in again.attrs.items() if k != "import_notes"} == {
            k: v for k, v in whole.attrs.items() if k != "import_notes"
        }


def test_the_order_of_interventions_is_kept(tmp_path):
    ds = rnb.open_study(EXAMPLES / "own_study.zarr.zip", load=True)
    assert ds["intervention"].values.tolist()[2:4] == [
        "dense_steer",
        "sparse_steer",
    ]  # not the order of the labels
    xr.testing.assert_identical(rnb.from_jsonl(rnb.to_jsonl(ds, tmp_path / "s.jsonl")), ds)


def test_text_is_written_where_a_tokenizer_is_given(tmp_path):
    path = rnb.to_jsonl(tiny_study(n=2), tmp_path / "s.jsonl", tokenizer=Letters())
    first = lines(path)[0]
    assert first["generated_text"] == "".join(
        chr(97 + each) for each in first["output_ids"]
    ).replace("z", "y")


def test_a_profile_table_has_no_lines(tmp_path):
    ds = tiny_study().drop_dims(["rollout", "token"])
    for write in (rnb.to_jsonl, rnb.to_parquet):
        with pytest.raises(InputError, match="no rollouts"):
            write(ds, tmp_path / "x")


# lm-evaluation-harness


LM_EVAL = {
    name: EXAMPLES / "lm_eval" / f"samples_{name}.jsonl"
    for name in ("none", "retry", "temperature")
}


def test_harness_logs(tmp_path):
    ds = rnb.from_lm_eval(LM_EVAL, is_correct=last_hash, task="arithmetic")
    assert dict(ds.sizes) == {"problem": 8, "rollout": 5, "intervention": 3, "feature": 3}
    for i, path in enumerate(LM_EVAL.values()):
        # Lines come twice, once a filter: the last number after # is theirs, and the first
        # response's metric.
        first = [row for row in lines(path) if row["filter"] == "last-hash"]
        for p, row in enumerate(first):
            assert ds["problem_id"].values[p] == row["doc"]["problem_id"]
            assert ds["generated_text"].values[p, :, i].tolist() == row["resps"][0]
            expected = [
                text.rpartition("#")[2] == row["target"] and "#" in text for text in row["resps"][0]
            ]
            assert ds["correct"].values[p, :, i].tolist() == expected
            assert bool(ds["correct"].values[p, 0, i]) == (row["exact_match"] == 1)
            assert ds["prompt"].values[p] == row["doc"]["prompt"]
    assert (
        "samples_none.jsonl has the filters last-hash, none; read was last-hash"
        in ds.attrs["import_notes"]
    )


def test_regimes_from_harness_logs():
    ds = rnb.from_lm_eval(LM_EVAL, is_correct=last_hash)
    rates = ds["rescue_rate"]
    regime = rnb.classify_regimes(rates, interventions=["temperature"]).values
    retry, hot = (rates.sel(intervention=name).values for name in ("retry", "temperature"))
    hard = (hot - retry >= 0.05 - 1e-9) & (1 - retry >= 0.5 - 1e-9)
    expected = np.where(hard, "steerable_hard", np.where(hot == 0, "beyond_reach", "resample"))
    assert regime.tolist() == expected.tolist()
    assert len(set(expected.tolist())) > 1


def test_one_response_is_graded_by_its_metric(tmp_path):
    rows = [row | {"resps": [row["resps"][0][:1]]} for row in lines(LM_EVAL["none"])]
    ds = rnb.from_lm_eval(jsonl(tmp_path / "samples_my_task_2026-11-21T10-00-00.123.jsonl", rows))
    assert ds["task"].values[0] == "my_task"
    expected = [int(row["exact_match"]) for row in rows if row["filter"] == "last-hash"]
    assert ds["correct"].values[:, 0, 0].tolist() == expected
    assert 0 < sum(expected) < 8
    other = rnb.from_lm_eval(
        tmp_path / "samples_my_task_2026-11-21T10-00-00.123.jsonl", filter="none"
    )
    assert other["correct"].values.sum() == -8  # no response is the bare answer; retry is not run


def test_older_harness_logs(tmp_path):
    row = {
        "doc_id": 3,
        "doc": {},
        "target": 5,
        "arguments": [["2+3", {"until": []}]],
        "resps": [["5"]],
        "filtered_resps": ["5"],
        "exact_match": 1.0,
    }
    ds = rnb.from_lm_eval(jsonl(tmp_path / "old.jsonl", [row]))
    assert (ds["problem_id"].item(), ds["prompt"].item(), ds["answer"].item()) == ("3", "2+3", "5")
    assert ds["correct"].values[0, 0, 0] == 1


# inspect_ai


def inspect_samples():
    return json.loads((FIXTURES / "inspect" / "arithmetic.json").read_text())["samples"]


def test_inspect_json():
    ds = rnb.from_inspect(FIXTURES / "inspect" / "arithmetic.json")
    assert dict(ds.sizes) == {"problem": 4, "rollout": 3, "intervention": 2, "feature": 3}
    assert set(ds["task"].values) == {"arithmetic"}
    place = {name: i for i, name in enumerate(ds["problem_id"].values.tolist())}
    for sample in inspect_samples():
        at = place[sample["id"]], sample["epoch"] - 1, 0
        assert ds["correct"].values[at] == (sample["scores"]["last_hash"]["value"] == "C")
        assert (
            ds["generated_text"].values[at] == sample["output"]["choices"][0]["message"]["content"]
        )
        assert (ds["prompt"].values[at[0]], ds["answer"].values[at[0]]) == (
            sample["input"],
            sample["target"],
        )
    assert 0 < (ds["correct"].values[:, :, 0] == 1).sum() < 12


def test_inspect_archive_is_the_same_run():
    path = FIXTURES / "inspect" / "arithmetic.eval"
    ds = rnb.from_inspect(path, is_correct=last_hash)
    graded = rnb.from_inspect(path)
    assert ds["correct"].values.tolist() == graded["correct"].values.tolist()
    members = [json.loads(data) for _, data in read_members(path, "a log", "samples/", ".json")]
    assert len(members) == 12
    place = {name: i for i, name in enumerate(ds["problem_id"].values.tolist())}
    for sample in members:
        text = sample["output"]["choices"][0]["message"]["content"]
        assert ds["generated_text"].values[place[sample["id"]], sample["epoch"] - 1, 0] == text


class Pieces(Letters):
    """The characters of the shipped tokenizer."""

    def __init__(self):
        path = Path(rnb.__file__).parent.parent / "data/lab/qwen3/sft/tokenizer.json"
        self.ids = json.loads(path.read_text())["model"]["vocab"]
        self.names = {i: name for name, i in self.ids.items()}

    def get_vocab(self):
        return self.ids

    def encode(self, text, add_special_tokens=False):
        return [self.ids[letter] for letter in text]

    def decode(self, ids, skip_special_tokens=False):
        return "".join(name for each in ids if not (name := self.names[each]).startswith("<"))


def test_inspect_tokens_that_are_not_the_texts(tmp_path):
    """The provider that made this log lists other tokens than it returned: the text is taken."""
    ds = rnb.from_inspect(FIXTURES / "inspect" / "arithmetic.eval", tokenizer=Pieces())
    counts = json.loads(ds.attrs["import_counts_json"])
    assert counts["logged_tokens_of_another_text"] == counts["texts_tokenized"] > 5
    assert (
        f"{counts['texts_tokenized']} of 12 completions are not those of their text"
        in ds.attrs["import_notes"][0]
    )
    tokens, n = ds["token_id"].values[:, :, 0], ds["n_tokens"].values[:, :, 0]
    written = [[Pieces().decode(tokens[p, r, : n[p, r]]) for r in range(3)] for p in range(4)]
    assert written == ds["generated_text"].values[:, :, 0].tolist()


def test_inspect_tokens_are_taken_where_they_make_the_text(tmp_path):
    log = json.loads((FIXTURES / "inspect" / "arithmetic.json").read_text())
    log["samples"] = log["samples"][:1]
    choice = log["samples"][0]["output"]["choices"][0]
    names = [*choice["message"]["content"], "<eos>"]
    choice["logprobs"] = {"content": [{"token": name, "logprob": -0.1} for name in names]}
    (tmp_path / "log.json").write_text(json.dumps(log))
    ds = rnb.from_inspect(tmp_path / "log.json", tokenizer=Pieces())
    assert ds["token_id"].values[0, 0, 0].tolist() == [Pieces().ids[name] for name in names]


# Log-probabilities


LOGPROBS = FIXTURES / "logprobs"


@pytest.fixture(scope="module")
def full():
    with np.load(LOGPROBS / "full_logits.npz") as stored:
        return dict(stored)


@pytest.mark.parametrize("shape", ["vllm", "openai"])
def test_lists_of_eight_come_near_the_full_logits(shape, full):
    read = {"vllm": rnb.from_vllm_logprobs, "openai": rnb.from_openai_logprobs}[shape]
    ds = read(LOGPROBS / f"{shape}_specialist.jsonl", LOGPROBS / f"{shape}_ancestor.jsonl", k_cov=4)
    lost = ds["missing_mass"].values
    inside = np.arange(ds.sizes["token"]) < ds["n_tokens"].values[:, :, 0, None]
    assert 0 < lost[inside].mean() < 0.05 and (lost[~inside] == 0).all()
    assert "is not in them (missing_mass)" in ds.attrs["import_notes"][-1]
    # Where next to nothing is missing from either list, the tempered path deformation is the full
    # logits'.
    sure = inside & (lost < 1e-3) & (ds["missing_mass_ancestor"].values < 1e-3)
    assert sure.sum() > 20
    found = ds["path_deformation"].values[sure]
    expected = full["path_deformation"][:, :, : ds.sizes["token"]][sure]
    np.testing.assert_allclose(found, expected, atol=0.01)
    entropy = full["entropy"][:, :, : ds.sizes["token"]][sure]
    np.testing.assert_allclose(ds["entropy"].values[sure], entropy, atol=0.02)


def test_the_two_shapes_agree():
    one, other = (
        read(LOGPROBS / f"{shape}_specialist.jsonl", LOGPROBS / f"{shape}_ancestor.jsonl", k_cov=4)
        for shape, read in (("vllm", rnb.from_vllm_logprobs), ("openai", rnb.from_openai_logprobs))
    )
    np.testing.assert_array_equal(one["n_tokens"], other["n_tokens"])
    for name in ("path_deformation", "logit_variance", "missing_mass"):
        np.testing.assert_allclose(one[name], other[name], atol=2e-3, err_msg=name)
    np.testing.assert_allclose(one["features"], other["features"], atol=1e-2)
    names = json.loads(other.attrs["vocabulary_json"])
    tokens = other["token_id"].values[0, 0, 0, : other["n_tokens"].values[0, 0, 0]]
    assert (
        "".join(names[each] for each in tokens).removesuffix("<eos>")
        == other["generated_text"].values[0, 0, 0]
    )
    np.testing.assert_allclose(
        one["alternative_log_probability"], other["alternative_log_probability"], atol=1e-5
    )


def test_lists_of_a_specialist_that_are_one_place_late_are_refused(tmp_path):
    late = tmp_path / "late.jsonl"
    with late.open("w") as file:
        for line in (LOGPROBS / "openai_specialist.jsonl").read_text().splitlines():
            row = json.loads(line)
            logged = row["choices"][0]["logprobs"]
            tops = [*logged["top_logprobs"][1:], logged["top_logprobs"][-1]]
            # What is not among the listed is less likely than they.
            own = [
                top.get(name, min(top.values()) - 1)
                for name, top in zip(logged["tokens"], tops, strict=True)
            ]
            row["choices"][0]["logprobs"] |= {"top_logprobs": tops, "token_logprobs": own}
            file.write(json.dumps(row) + "\n")
    with pytest.raises(
        InputError, match=r"the specialist gives the tokens of 6 traces .* as llama-cpp-python does"
    ):
        rnb.from_openai_logprobs(late, LOGPROBS / "openai_ancestor.jsonl", k_cov=4)


def test_lists_by_hand(tmp_path):
    """Two tokens; S says 0.5 and 0.25 of 0 and 1, A says 0.25 and 0.5; at T = 1."""
    half, quarter = np.log(0.5), np.log(0.25)
    row = {"pid": "p", "rollout_idx": 0, "output_ids": [0], "is_correct": False, "prompt": "q"}
    entry = {"0": {"logprob": half, "rank": 1}, "1": {"logprob": quarter, "rank": 2}}
    flipped = {"0": {"logprob": quarter, "rank": 2}, "1": {"logprob": half, "rank": 1}}
    rows = [row | {"prompt_logprobs": [None, each]} for each in (entry, flipped)]
    paths = [jsonl(tmp_path / f"{i}.jsonl", [each]) for i, each in enumerate(rows)]
    ds = rnb.from_vllm_logprobs(*paths, temperature=1.0, k_cov=1)
    at = {name.value: float(ds[name.value].values[0, 0, 0]) for name in Signal}
    # Renormalised over the lists: S 2/3, 1/3; A 1/3, 2/3; the ancestor's likeliest token is 1.
    assert at["path_deformation"] == pytest.approx(np.log(2), abs=1e-6)
    assert at["coverage_deformation"] == pytest.approx(np.log(2), abs=1e-6)
    assert at["demotion_pressure"] == pytest.approx(2 * np.log(2), abs=1e-6)
    assert at["kl_divergence"] == pytest.approx(np.log(2) / 3, abs=1e-6)
    assert at["logit_variance"] == pytest.approx(2 / 9 * np.log(2) ** 2, abs=1e-6)
    assert float(ds["missing_mass"].values[0, 0, 0]) == pytest.approx(0.25, abs=1e-6)
    assert ds["alternative_token_id"].values[0, 0].tolist() == [
        [0, 1, -1, -1, -1],
        [1, 0, -1, -1, -1],
    ]
    assert ds["features"].values[0, 0] == 1.0  # one token, and it is under pressure


def test_an_ancestor_that_reads_other_tokens_is_counted(tmp_path):
    rows = lines(LOGPROBS / "openai_ancestor.jsonl")
    rows[0]["choices"][0]["logprobs"]["tokens"][-3] = "@"
    ancestor = jsonl(tmp_path / "a.jsonl", rows)
    ds = rnb.from_openai_logprobs(LOGPROBS / "openai_specialist.jsonl", ancestor, k_cov=4)
    assert json.loads(ds.attrs["import_counts_json"])["tokenization_mismatches"] == 1
    assert ds["has_signals"].values.ravel().tolist() == [0, 1, 1, 1, 1, 1]
    assert "1 of 6 rollouts are other tokens to the ancestor" in ds.attrs["import_notes"][0]


# The authors' toolkit


def toolkit(folder, ds):
    """Write a study's observed rollouts, signals and attempts as the toolkit documents them."""
    pq = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    rollouts, shard, repairs = [], [], []
    n = ds["n_tokens"].values
    for p in range(ds.sizes["problem"]):
        for r in range(ds.sizes["rollout"]):
            tokens = ds["token_id"].values[p, r, 0, : n[p, r, 0]].tolist()
            correct = bool(ds["correct"].values[p, r, 0])
            rollouts.append(
                {
                    "problem_id": f"p{p}",
                    "rollout_idx": r,
                    "output_ids": tokens,
                    "is_correct": correct,
                }
            )
            if not correct:
                take = {
                    column: ds[name].values[p, r, : n[p, r, 0]].tolist()
                    for column, name in SHARD.items()
                }
                same = [0.5] * len(tokens)
                shard.append(
                    {"pid": f"p{p}", "rollout_idx": r, "V": same, "pA_on_set": same, **take}
                )
        for k in range(2):
            entry = {
                "correct": bool(k),
                "n_tokens": 5 + k,
                "t_hat": 2,
                "tau_hat": "path",
                "fired": bool(k),
            }
            arms = dict.fromkeys(
                ("retry", "rand", "geo_pred", "geo_wrong", "local_temp_1p0"), entry
            )
            repairs.append(
                {"pid": f"p{p}", "k": k, "background": {"mu": 1.0}, "ablation": {}, **arms}
            )
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(shard[:4]), folder / "shard_0000.parquet")
    pq.write_table(pa.Table.from_pylist(shard[4:]), folder / "shard_0001.parquet")
    dense = [
        {
            "pid": f"p{p}",
            "k": 0,
            "condition": "dense",
            "tau_hat": "path",
            "correct": p == 1,
            "n_tokens": 4,
        }
        for p in range(1, ds.sizes["problem"])
    ]
    return {
        "rollouts": jsonl(folder / "rollouts.jsonl", rollouts),
        "features": folder,
        "repairs": jsonl(folder / "repairs.jsonl", [*repairs, *dense]),
    }


SHARD = {
    "Delta_path": "path_deformation",
    "G_cov": "coverage_deformation",
    "J_approx": "demotion_pressure",
    "logit_var": "logit_variance",
    "kl_div": "kl_divergence",
    "entropy": "entropy",
}


@pytest.fixture(scope="module")
def bundled():
    ds = rnb.load_study().isel(problem=slice(0, 40), rollout=slice(0, 6)).load()
    failed = np.flatnonzero(
        ((ds["has_signals"] == 1) == (ds["correct"].values[:, :, 0] == 0)).all("rollout")
    )
    ds = ds.isel(problem=failed)
    return ds.isel(problem=np.flatnonzero((ds["correct"].values[:, :, 0] == 0).any(1))[:5])


def test_the_toolkits_files(bundled, tmp_path):
    files = toolkit(tmp_path / "cell", bundled)
    ds = rnb.from_vllm_logits(
        files["rollouts"], features=files["features"], repairs=files["repairs"]
    )
    steered = ["sparse_steer", "sparse_steer_wrong", "sparse_steer_random", "dense_steer"]
    assert ds["intervention"].values.tolist() == ["none", "retry", "local_temperature", *steered]
    for name in SHARD.values():
        failed = ds["has_signals"].values == 1
        width = ds.sizes["token"]
        np.testing.assert_array_equal(
            ds[name].values[failed], bundled[name].values[..., :width][failed], err_msg=name
        )
    # Features are those that the study's own tokens give.
    observed = bundled.isel(intervention=[0]).drop_vars(COUNTED, errors="ignore")
    np.testing.assert_allclose(
        ds["features"], rnb.compute_features(observed), rtol=2 * SIGNAL_TOLERANCE, atol=1e-3
    )
    assert ds["correct"].sel(intervention="sparse_steer").values[:, :2].tolist() == [[0, 1]] * 5
    assert ds["n_tokens"].sel(intervention="sparse_steer").values[0, :3].tolist() == [5, 6, 0]
    assert ds["fired_at"].sel(intervention="sparse_steer").values[0, :2].tolist() == [-1, 2]
    assert (ds["token_id"].sel(intervention="retry").values == -1).all()
    assert ds["attempts"].sel(intervention="dense_steer").values.tolist() == [0, 1, 1, 1, 1]
    assert ds["rescue_rate"].sel(intervention="retry").values.tolist() == [0.5] * 5
    assert ds["regime"].values.tolist() == [
        "",
        "steerable_hard",
        "resample",
        "resample",
        "resample",
    ]


def test_variance_is_not_the_toolkits_v(bundled, tmp_path):
    # Their V is a probability, their logit_var the variance; the features would be wrong without a
    # word.
    files = toolkit(tmp_path / "cell", bundled)
    ds = rnb.from_vllm_logits(files["rollouts"], features=files["features"])
    assert not (ds["logit_variance"].values[ds["has_signals"].values == 1] == 0.5).all()


# Training logs


def test_trl():
    path = FIXTURES / "trl" / "completions_00002.parquet"
    frame = pd.read_parquet(path)
    ds = rnb.from_trl(path)
    assert (ds["correct"].values == 1).sum() == int(frame["right_answer"].sum())
    assert ds.sizes["rollout"] == frame.groupby("prompt").size().max()
    assert ds.sizes["problem"] == frame["prompt"].nunique()
    assert set(ds["prompt"].values) == set(frame["prompt"])
    text = ds["generated_text"].sel(intervention="none").values[0].tolist()
    assert text == frame.loc[frame["prompt"] == ds["prompt"].values[0], "completion"].tolist()
    assert np.isnan(ds["rescue_rate"].sel(intervention="retry")).all()


def test_verl():
    rows = lines(FIXTURES / "verl" / "7.jsonl")
    ds = rnb.from_verl(FIXTURES / "verl" / "7.jsonl")
    assert ds.sizes["problem"] == 3 and ds.sizes["rollout"] == 4
    assert (ds["correct"].values == 1).sum() == sum(row["score"] == 1 for row in rows)
    assert ds["answer"].values.tolist() == [
        gts for _, gts in dict.fromkeys((row["input"], row["gts"]) for row in rows)
    ]
    again = rnb.from_verl(FIXTURES / "verl" / "7.jsonl", is_correct=last_hash)
    np.testing.assert_array_equal(again["correct"], ds["correct"])


def test_steps_and_thresholds(tmp_path):
    rows = [
        {"input": "q", "output": "a", "gts": "1", "score": s / 4, "step": s // 3} for s in range(6)
    ]
    path = jsonl(tmp_path / "x.jsonl", rows)
    ds = rnb.from_verl(path, threshold=1.0)
    assert ds["correct"].values[0, :, 0].tolist() == [0, 1, 1]
    assert "2 steps of training; read was 1" in ds.attrs["import_notes"][0]
    assert rnb.from_verl(path, threshold=0.5, step=0)["correct"].values[0, :, 0].tolist() == [
        0,
        0,
        1,
    ]


# Tables


TABLE = pd.DataFrame(
    {
        "question": ["x", "x", "y"],
        "pass": [True, False, True],
        "said": ["a", "b", None],
        "n": [2, 1, 1],
    }
)
COLUMNS = {
    "problem_id": "question",
    "is_correct": "pass",
    "generated_text": "said",
    "rollout_idx": "n",
}


@pytest.mark.parametrize("kind", ["frame", "csv", "parquet", "jsonl"])
def test_any_table_by_a_map_of_columns(kind, tmp_path):
    table = TABLE.fillna({"said": "c"})
    path = tmp_path / f"t.{kind}"
    if kind == "csv":
        table.to_csv(path, index=False)
    elif kind == "parquet":
        table.to_parquet(path)
    elif kind == "jsonl":
        table.to_json(path, orient="records", lines=True)
    ds = rnb.from_table(table if kind == "frame" else path, COLUMNS)
    assert ds["problem_id"].values.tolist() == ["x", "y"]
    assert ds["correct"].values[:, :, 0].tolist() == [[0, 1], [1, -1]]
    assert ds["generated_text"].values[:, :, 0].tolist() == [["b", "a"], ["c", ""]]


def test_columns_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="no column 'passed'; it has question, pass, said, n"):
        rnb.from_table(TABLE, COLUMNS | {"is_correct": "passed"})
    with pytest.raises(InputError, match="unknown field 'right'; allowed: problem_id"):
        rnb.from_table(TABLE, {"right": "pass"})


# Problems, and the command line


def test_the_example_study_is_of_the_example_problems():
    problems = rnb.read_problems(EXAMPLES / "problems.jsonl", task="sums")
    ds = rnb.open_study(EXAMPLES / "own_study.zarr.zip", load=True)
    assert rnb.read_problems(ds) == problems and len(problems) == 24
    others = set(rnb.load_study()["problem_id"].values.tolist())
    assert ds.attrs["provenance_json"].count("data/lab/qwen3/") == 2
    assert not others & {each.problem_id for each in problems}


def test_problems_of_a_file_and_of_a_log(tmp_path):
    path = jsonl(tmp_path / "p.jsonl", [{"id": 1, "question": "2+2=", "answer": 4}])
    (problem,) = rnb.read_problems(path, task="sums")
    assert (problem.task, problem.problem_id, problem.prompt, problem.answer) == (
        "sums",
        "1",
        "2+2=",
        "4",
    )
    ds = rnb.from_lm_eval(LM_EVAL["none"], is_correct=last_hash)
    problems = rnb.read_problems(ds)
    assert [each.prompt for each in problems] == ds["prompt"].values.tolist()
    with pytest.raises(InputError, match="problem 1 was given before"):
        rnb.read_problems(
            jsonl(tmp_path / "twice.jsonl", [{"id": 1, "prompt": "a", "answer": "b"}] * 2)
        )


def test_problems_beside_the_rollouts(tmp_path):
    rollouts = jsonl(
        tmp_path / "r.jsonl", [{"problem_id": "1", "rollout_idx": 0, "generated_text": "so 4"}]
    )
    problems = jsonl(tmp_path / "p.jsonl", [{"id": 1, "question": "2+2=", "answer": 4}])
    ds = rnb.from_jsonl(rollouts, problems=problems, is_correct="numeric")
    assert (ds["prompt"].item(), ds["answer"].item(), ds["correct"].values[0, 0, 0]) == (
        "2+2=",
        "4",
        1,
    )


def test_the_command_line_imports_and_exports(tmp_path, capsys):
    out = tmp_path / "s.zarr"
    arguments = [
        "--arm",
        f"retry={LM_EVAL['retry']}",
        "--option",
        r"is_correct=regex:#(.+)$",
        "--out",
        str(out),
    ]
    assert main(["import", "lm_eval", str(LM_EVAL["none"]), *arguments]) == 0
    assert "note: samples_none.jsonl has the filters" in capsys.readouterr().err
    with rnb.open_study(out) as ds:
        expected = rnb.from_lm_eval(
            {name: LM_EVAL[name] for name in ("none", "retry")}, is_correct=r"regex:#(.+)$"
        )
        np.testing.assert_array_equal(ds["correct"], expected["correct"])
    for name, suffix in (("jsonl", "jsonl"), ("parquet", "parquet"), ("netcdf", "nc")):
        assert main(["export", name, str(out), str(tmp_path / f"x.{suffix}")]) == 0
        assert (
            main(
                [
                    "import",
                    name,
                    str(tmp_path / f"x.{suffix}"),
                    "--out",
                    str(tmp_path / f"{name}.zarr"),
                ]
            )
            == 0
        )
        with rnb.open_study(tmp_path / f"{name}.zarr") as ds:
            np.testing.assert_array_equal(ds["correct"], expected["correct"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["import", "lm_eval", "x", "--option", "speed=1"],
            "--option 'speed=1' cannot be used; format lm_eval takes",
        ),
        (
            ["import", "lm_eval", "x", "--arm", "retry"],
            "--arm 'retry' cannot be used; allowed: INTERVENTION=PATH",
        ),
        (["import", "vllm_logprobs", "x"], "format vllm_logprobs needs --option ancestor=VALUE"),
        (["import", "jsonl", "nowhere.jsonl"], "nowhere.jsonl: no such file"),
    ],
)
def test_the_command_line_refuses(arguments, said, tmp_path, capsys):
    assert main([*arguments, "--out", str(tmp_path / "s.zarr")]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


# What both models add


@pytest.mark.slow
def test_signals_of_a_log_are_those_of_the_study(tmp_path):
    pair = rnb.load_lineage("neox", "sft")
    ds = rnb.load_study()
    ds = ds.isel(
        problem=np.flatnonzero((ds["family"] == "neox") & (ds["method"] == "sft"))[:4]
    ).load()
    rows = lines(rnb.to_jsonl(ds, tmp_path / "s.jsonl"))
    kept = ("problem_id", "rollout_idx", "intervention", "is_correct", "output_ids")
    for row in rows:
        about = (
            {name: row["problem"][name] for name in ("prompt", "answer")}
            if "problem" in row
            else {}
        )
        row |= about
        for name in set(row) - {*kept, *about}:
            del row[name]
    bare = rnb.from_jsonl(jsonl(tmp_path / "bare.jsonl", rows))
    assert np.isnan(bare["features"]).all() and "entropy" not in bare
    found = rnb.add_signals(bare, pair)
    np.testing.assert_allclose(found["features"], ds["features"], atol=1e-4)
    stored = ds["has_signals"].values == 1
    assert stored.sum() > 4
    width = found.sizes["token"]
    for name in Signal:
        left, right = (each[name.value].values[..., :width][stored] for each in (found, ds))
        np.testing.assert_allclose(left, right, rtol=2 * SIGNAL_TOLERANCE, atol=1e-3, err_msg=name)
    np.testing.assert_array_equal(found["junction"].values[stored], ds["junction"].values[stored])
    with pytest.raises(InputError, match="no traces, so there is nothing to score"):
        rnb.add_signals(rnb.from_lm_eval(LM_EVAL, is_correct=last_hash), pair)
