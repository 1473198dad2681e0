"""Text against features: planted words, planted features, leaks, and what is read of a trace."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from chart_parts import COMPUTING, check_shown, parts
from of_shipped import of_shipped
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import recover_nb as rnb
from recover_nb import charts
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Signal
from recover_nb.prediction.ngrams import NGRAM_C, count_ngrams, predict_wide
from recover_nb.prediction.reading import reading
from recover_nb.prediction.topography import topography
from recover_nb.prediction.transcripts import MAX_CHARACTERS, failed_numbers, failed_text
from recover_nb.stats.classification import macro_auc, repeated_folds
from recover_nb.tables import token_pieces

PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "reference" / "published_profiles.csv"
FEW = {"n_repeats": 2}
#: Letters of the vocabulary made here; id 0 is the end.
ALPHABET = "$abcdefghijklmnopqrstuvwxyz "
ROLLOUTS, WIDTH = 3, 12


def decode(ids):
    return "".join(ALPHABET[i] for i in ids if i)


MINE = {"mine": decode}


def text_study(texts, *, regime, features=None, seed=0, **labels):
    """Return a study whose problems failed with `texts` (problem, rollout); "" is a correct one."""
    texts = np.asarray(texts, dtype=object)
    n, rollouts = texts.shape
    token = np.full((n, rollouts, 2, WIDTH), -1, np.int32)
    length = np.zeros((n, rollouts, 2), np.int32)
    for place in np.ndindex(n, rollouts):
        ids = [ALPHABET.index(x) for x in texts[place]] + [0]
        token[(*place, 0)][: len(ids)] = ids
        length[(*place, 0)] = len(ids)
    correct = np.full((n, rollouts, 2), -1, np.int8)
    correct[:, :, 0] = texts == ""
    coords = {
        "family": "mine",
        "method": "sft",
        "task": "t",
        "split": "test",
        "problem_id": np.arange(n).astype(str),
    }
    coords = {
        k: ("problem", np.broadcast_to(np.array(v), (n,)).astype(object))
        for k, v in (coords | labels).items()
    }
    features = np.random.default_rng(seed).normal(size=(n, 3)) if features is None else features
    axes = ("problem", "rollout", "intervention")
    return xr.Dataset(
        {
            "token_id": ((*axes, "token"), token),
            "n_tokens": (axes, length),
            "correct": (axes, correct),
            "features": (("problem", "feature"), np.asarray(features, float)),
            "regime": ("problem", np.asarray(regime, dtype=object)),
            "prompt": ("problem", np.array([f"q{i % 7}" for i in range(n)], dtype=object)),
            "n_failed_rollouts": ("problem", (texts != "").sum(1).astype(np.int32)),
        },
        {
            **coords,
            "intervention": ["none", "retry"],
            "feature": ["spread", "concentration", "logit_dispersion"],
        },
    )


def noise(n, rng, letters="abcdefg"):
    return ["".join(rng.choice(list(letters), size=6)) for _ in range(n)]


def planted(n=120, seed=0, *, column=0):
    """Texts are noise, but for the word "zqzq" in one rollout of the problems of one regime."""
    rng = np.random.default_rng(seed)
    regime = rng.permutation(np.repeat(["resample", "beyond_reach"], n // 2))
    texts = np.array([noise(ROLLOUTS, rng) for _ in range(n)], dtype=object)
    for i in np.flatnonzero(regime == "resample"):
        texts[i, column] = texts[i, column][:3] + "zqzq" + texts[i, column][3:]
    return text_study(texts, regime=regime, seed=seed)


@pytest.fixture(scope="module")
def words():
    return reading(planted(), tokenizers=MINE, **FEW)


def test_planted_words_are_read_and_not_felt(words):
    auc = dict(zip(words.readers, words.scores().mean(axis=(1, 2)), strict=True))
    assert auc["ngrams"] > 0.99
    assert auc["features"] == pytest.approx(0.5, abs=0.12)
    mean, low, high, *_ = words.difference("ngrams")
    assert mean == pytest.approx(auc["features"] - auc["ngrams"])
    assert low < high < 0
    # Four letters more in one of three rollouts: length gives it away as well, and failures do not.
    assert auc["length"] > 0.9
    assert auc["failures"] == 0.5


def test_planted_features_are_felt_and_not_read():
    rng = np.random.default_rng(1)
    regime = rng.permutation(np.repeat(["resample", "beyond_reach"], 60))
    features = rng.normal(size=(120, 3)) + 4 * (regime == "resample")[:, None]
    ds = text_study([noise(ROLLOUTS, rng) for _ in range(120)], regime=regime, features=features)
    found = reading(ds, tokenizers=MINE, **FEW)
    mean, low, *_ = found.difference("ngrams")
    assert found.scores()[0].mean() > 0.99
    assert low > 0.2 and mean == pytest.approx(0.5, abs=0.15)


def test_folds_and_features_are_those_of_topography():
    ds = planted(seed=4)
    found = reading(ds, tokenizers=MINE, n_repeats=3, seed=7)
    theirs = topography(ds, target="regime", n_repeats=3, seed=7, n_permutations=0)
    assert found.scores("auc")[0].mean(axis=1) == pytest.approx(theirs.auc)
    # 120 problems deal out into folds of 24, so a mean of folds is the mean of units.
    assert found.scores("accuracy")[0].mean(axis=1) == pytest.approx(theirs.accuracy)


def test_first_reads_the_first_failed_rollout_alone():
    ds = planted(column=1)
    assert reading(ds, tokenizers=MINE, **FEW).scores()[1].mean() > 0.99
    first = reading(ds, tokenizers=MINE, rollouts="first", **FEW)
    assert first.scores()[1].mean() < 0.7
    # Where the rollout before it did not fail, the second is the first failed one.
    right = ds.copy(deep=True)
    right["correct"][:, 0, 0] = 1
    right["n_failed_rollouts"] -= 1
    assert reading(right, tokenizers=MINE, rollouts="first", **FEW).scores()[1].mean() > 0.99


def test_the_prompt_is_read_only_when_asked_for():
    rng = np.random.default_rng(2)
    regime = rng.permutation(np.repeat(["resample", "beyond_reach"], 60))
    ds = text_study([noise(ROLLOUTS, rng) for _ in range(120)], regime=regime)
    ds["prompt"] = ("problem", np.where(regime == "resample", "zq", "qz").astype(object))
    assert reading(ds, tokenizers=MINE, **FEW).scores()[1].mean() < 0.7
    asked = reading(ds, tokenizers=MINE, prompt=True, **FEW)
    assert asked.scores()[1].mean() > 0.99
    assert asked.about["ngrams"].endswith("all failed rollouts and the prompt")


def test_a_text_that_names_the_problem_is_caught_by_grouped_folds():
    rng = np.random.default_rng(3)
    problem = np.repeat(np.arange(26), 8)
    regime = rng.permutation(np.repeat(["resample", "beyond_reach"], 13))[problem]
    texts = [ALPHABET[1 + i] * 4 for i in problem]
    together = {"problem_id": problem.astype(str), "method": np.tile(list("abcdefgh"), 26)}
    ds = text_study([[x] for x in texts], regime=regime, **together)
    grouped = reading(ds, tokenizers=MINE, **FEW)
    assert grouped.scores("accuracy")[1].mean() < 0.65
    apart = reading(text_study([[x] for x in texts], regime=regime), tokenizers=MINE, **FEW)
    assert apart.scores("accuracy")[1].mean() == 1.0


def asked_of_eight(seed=5, n=40, each=8):
    """Return every question, which decides its regime, under eight methods.

    The answers are noise, the prompts words.
    """
    rng = np.random.default_rng(seed)
    question = np.repeat(np.arange(n), each)
    regime = rng.permutation(np.repeat(["resample", "beyond_reach"], n // 2))[question]
    together = {"problem_id": question.astype(str), "method": np.tile(list("abcdefgh"), n)}
    ds = text_study([[x] for x in noise(n * each, rng)], regime=regime, seed=seed, **together)
    words = np.array(noise(n, rng, "hijklmnopqrstuvwxyz"), dtype=object)
    return ds.assign(prompt=("problem", words[question]))


def test_a_prompt_in_two_folds_is_a_leak_that_grouped_folds_catch():
    ds = asked_of_eight()
    grouped = reading(ds, tokenizers=MINE, prompt=True, **FEW)
    # 40 questions: an accuracy by chance scatters by 8 points.
    assert grouped.scores("accuracy")[1].mean() == pytest.approx(0.5, abs=0.16)
    assert grouped.scores("auc")[1].mean() == pytest.approx(0.5, abs=0.2)
    apart = ds.assign_coords(problem_id=("problem", np.arange(ds.sizes["problem"]).astype(str)))
    leaking = reading(apart, tokenizers=MINE, prompt=True, **FEW)
    assert leaking.scores("accuracy")[1].mean() > 0.95
    assert leaking.scores("auc")[1].mean() > 0.98
    # Features that know nothing know nothing either way: it is the text that leaks.
    for found in (grouped, leaking):
        assert found.scores("auc")[0].mean() == pytest.approx(0.5, abs=0.1)


def test_failures_entered_twice_are_recognised_unless_folds_keep_questions_together():
    rng = np.random.default_rng(9)
    regime = rng.permutation(np.repeat(["resample", "beyond_reach"], 60))
    one = text_study([noise(ROLLOUTS, rng, ALPHABET[1:27]) for _ in range(120)], regime=regime)
    other = one.assign_coords(method=("problem", ["grpo"] * 120))
    twice = xr.concat([one, other], "problem")
    auc = {}
    for name, ds in {
        "once": one,
        "together": twice,
        "apart": twice.assign_coords(problem_id=("problem", np.arange(240).astype(str))),
    }.items():
        auc[name] = reading(ds, tokenizers=MINE, **FEW).scores()[1].mean()
    assert auc["once"] == pytest.approx(0.5, abs=0.12) and auc["together"] == pytest.approx(
        0.5, abs=0.12
    )
    # One copy in five has its twin in its own fold.
    assert auc["apart"] > 0.85


def test_a_number_is_read_as_scikit_learn_would():
    """Length alone, two classes: same folds and fit (C = 2, see `fit_softmax`), scores to 1e-6."""
    rng = np.random.default_rng(6)
    regime = rng.permutation(np.repeat(["resample", "beyond_reach"], 50))
    texts = [["a" * int(rng.integers(1, 5 + 4 * (kind == "resample")))] for kind in regime]
    ds = text_study(texts, regime=regime)
    found = reading(ds, tokenizers=MINE, n_repeats=1, seed=2)
    code = (regime == "resample").astype(int)
    group = np.array([f"t\0{each}" for each in ds["problem_id"].values])
    (fold,) = repeated_folds(code, group, n_splits=5, n_repeats=1, seed=2)
    length = failed_numbers(ds)["length"]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=2.0, tol=1e-10))
    theirs = cross_val_predict(
        model, length, code, cv=PredefinedSplit(fold), method="predict_proba"
    )[:, 1]
    auc = [roc_auc_score(code[fold == each], theirs[fold == each]) for each in range(5)]
    assert np.mean(auc) > 0.6
    assert found.scores("auc")[found.readers.index("length")][0] == pytest.approx(auc, abs=1e-6)


def test_progress_tells_every_repeat():
    told = []
    asked = {"n_repeats": 3, "progress": told.append}
    reading(planted(60), tokenizers=MINE, **asked, populations=["failed"])
    assert told == ["all"] * 3
    reading(planted(60), tokenizers=MINE, **asked)
    assert told == ["all"] * 9


def test_ngrams_are_scikit_learns_fitted_on_the_training_folds():
    rng = np.random.default_rng(5)
    texts = np.array([x + "zq" * (i % 3) for i, x in enumerate(noise(90, rng))], dtype=object)
    code = np.arange(90) % 3
    fold = next(repeated_folds(code, np.arange(90), n_splits=5, n_repeats=1, seed=0))
    mine = predict_wide(count_ngrams(texts, (1, 3)), code, fold, 3)
    for each in range(5):
        model = make_pipeline(
            TfidfVectorizer(
                analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True, lowercase=False
            ),
            LogisticRegression(C=NGRAM_C, max_iter=2000),
        ).fit(texts[fold != each], code[fold != each])
        assert mine[fold == each] == pytest.approx(
            model.predict_proba(texts[fold == each]), abs=2e-3
        )
    assert macro_auc(code, mine) > 0.9


def test_a_training_fold_without_anything_to_learn_gives_shares():
    x = np.array([[1.0], [2.0], [3.0], [4.0]])
    found = predict_wide(x, np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 2)
    # Fold 1 learns from two of class 0 alone.
    assert found[2:].tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_within_each_part():
    first, second = planted(60), planted(60, seed=1)
    ds = xr.concat([first, second.assign_coords(task=("problem", ["u"] * 60))], "problem")
    found = reading(ds, tokenizers=MINE, within="task", **FEW)
    assert set(found.parts) == {"t", "u"}
    assert found.scores() == pytest.approx((found.scores(part="t") + found.scores(part="u")) / 2)
    assert "within each task (2)" in found.sentence


def test_text_of_failed_rollouts():
    ds = text_study([["abc", "", "de"], ["", "", ""]], regime=["resample", "resample"])
    assert failed_text(ds, tokenizers=MINE).tolist() == ["abc\n\nde", ""]
    assert failed_text(ds, tokenizers=MINE, rollouts="first").tolist() == ["abc", ""]
    assert failed_text(ds, tokenizers=MINE, prompt=True)[0] == "q0\n\nabc\n\nde"


def test_text_is_cut_off():
    ds = text_study([["a", "b"]], regime=["resample"])
    found = failed_text(ds, tokenizers={"mine": lambda ids: "x" * (MAX_CHARACTERS - 10)})
    assert len(found[0]) == MAX_CHARACTERS


class Tokenizer:
    """What a Hugging Face tokenizer looks like from here."""

    def decode(self, ids):
        assert isinstance(ids, list)
        return decode(ids).upper()


def test_a_tokenizer_object_is_as_good_as_a_function():
    ds = text_study([["abc"]], regime=["resample"])
    assert failed_text(ds, tokenizers={"mine": Tokenizer()}).tolist() == ["ABC"]


def test_shipped_families_need_no_tokenizer():
    pieces = {piece: index for index, piece in token_pieces("qwen3").items()}
    ds = text_study([["aaa"]], regime=["resample"], family="qwen3")
    ids = [pieces[x] for x in ("7", "+", "<eos>")]
    ds["token_id"][0, 0, 0, :3] = ids
    ds["n_tokens"][0, 0, 0] = 3
    assert failed_text(of_shipped(ds)).tolist() == ["7+"]
    with pytest.raises(InputError, match="pass tokenizers="):
        failed_text(ds)


def test_numbers_by_hand():
    ds = text_study([["abc", "", "d"], ["", "", ""]], regime=["resample", ""])
    entropy = np.zeros((2, 3, WIDTH), np.float32)
    # Means 2.5 of the first rollout, 1 of the third; what lies past the end, or is not failed, does
    # not count.
    entropy[0, 0, :5] = [1, 2, 3, 4, 99]
    entropy[0, 1], entropy[0, 2, :2] = 50, 1
    ds[Signal.ENTROPY.value] = (("problem", "rollout", "token"), entropy)
    found = failed_numbers(ds)
    assert found["failures"].ravel().tolist() == [2, 0]
    assert found["length"][0, 0] == (4 + 2) / 2 and np.isnan(found["length"][1, 0])
    assert found["entropy"][0, 0] == (2.5 + 1) / 2
    assert failed_numbers(ds, "first")["entropy"][0, 0] == 2.5
    ds["has_signals"] = (("problem", "rollout"), np.array([[0, 0, 1], [0, 0, 0]], np.int8))
    assert failed_numbers(ds)["entropy"][0, 0] == 1
    assert "log_probability" not in found


def test_log_probability_by_hand():
    """First token stored second (0.25), second not stored: at most the rest, 1 - 0.8 = 0.2."""
    ds = text_study([["", "b"]], regime=["resample"])
    ids = np.full((1, WIDTH, 2, 2), -1, np.int32)
    scores = np.zeros((1, WIDTH, 2, 2), np.float32)
    b = ALPHABET.index("b")
    ids[0, :2, 0], scores[0, :2, 0] = [[9, b], [8, 9]], np.log([[0.5, 0.25], [0.5, 0.3]])
    ids[0, :2, 1], scores[0, :2, 1] = [[b, 9], [0, 9]], np.log(0.5)
    axes = ("problem", "token", "role", "alternative")
    ds = ds.assign_coords(role=["specialist", "ancestor"])
    ds["alternative_token_id"], ds["alternative_log_probability"] = (axes, ids), (axes, scores)
    found = failed_numbers(ds)["log_probability"]
    assert found[0, 0] == pytest.approx((np.log(0.25) + np.log(0.2)) / 2, abs=1e-6)


def test_features_of_the_first_failed_rollout_alone():
    ds = text_study([["", "abc", "abcd"]], regime=["resample"])
    pressure = np.zeros((1, 3, WIDTH), np.float32)
    pressure[0, 1, :4], pressure[0, 2, :5] = [0, 3, 1, 0], 7
    axes = ("problem", "rollout", "token")
    ds["demotion_pressure"], ds["logit_variance"] = (
        (axes, pressure),
        (axes, np.full_like(pressure, 10)),
    )
    found = failed_numbers(ds, "first")["features_first"]
    assert found[0] == pytest.approx([2 / 4, np.log10(3 / 1), 1.0])
    assert "features_first" not in failed_numbers(ds)


def test_numbers_that_are_not_known_of_every_unit_are_left_out():
    ds = planted(40)
    ds[Signal.ENTROPY.value] = (
        ("problem", "rollout", "token"),
        np.ones((40, ROLLOUTS, WIDTH), np.float32),
    )
    kept = np.ones((40, ROLLOUTS), np.int8)
    kept[3] = 0
    ds["has_signals"] = (("problem", "rollout"), kept)
    found = reading(ds, tokenizers=MINE, n_repeats=1)
    assert "entropy" not in found.readers
    assert found.left_out["entropy"] == "not known of 1 of 40 units"


def test_an_embedder_is_one_reader_more():
    seen = []

    def embedder(texts):
        seen.append(list(texts))
        return np.array([[x.count("zq"), len(x)] for x in texts])

    ds = planted(60)
    found = reading(ds, tokenizers=MINE, embedder=embedder, populations=["failed"], **FEW)
    assert found.scores()[found.readers.index("embedding")].mean() == 1.0
    assert seen == [failed_text(ds, tokenizers=MINE).tolist()]


@pytest.mark.parametrize(
    ("embedder", "message"),
    [
        (
            lambda texts: np.zeros(len(texts)),
            "shape (60,) and dtype float64 for 60 texts; allowed: numbers of shape",
        ),
        (lambda texts: np.zeros((3, 2)), "shape (3, 2)"),
        (lambda texts: np.full((len(texts), 2), "x"), "dtype <U1"),
        (
            lambda texts: np.full((len(texts), 2), np.nan),
            "embedder returned NaN or an infinite number",
        ),
    ],
)
def test_bad_embedders_are_refused(embedder, message):
    with pytest.raises(InputError) as caught:
        reading(planted(60), tokenizers=MINE, embedder=embedder, **FEW)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"tokenizers": None},
            "the tokens of family 'mine' cannot be turned into text here; pass tokenizers=",
        ),
        (
            {"tokenizers": {"mine": 3}},
            "the tokenizer of mine has type int; allowed: an object with decode",
        ),
        ({"rollouts": "last"}, "rollouts must be one of all, first, got 'last'"),
        ({"ngrams": (3, 1)}, "ngrams is (3, 1); allowed: two whole numbers"),
        (
            {"ngrams": (0.5, 1)},
            "ngrams must be two whole numbers, the shortest and the longest, got (0.5, 1)",
        ),
        ({"texts": ["a"]}, "texts is 1 items; allowed: 60 strings"),
        ({"texts": "a"}, "texts is 1 items; allowed: 60 strings"),
        (
            {"texts": [f"{chr(200 + i)}" for i in range(60)]},
            "no 1- to 4-gram occurs in two of the 60 texts",
        ),
        ({"target": "answer"}, "target is 'answer' (unknown)"),
        ({"n_repeats": 0}, "n_repeats"),
    ],
)
def test_bad_input_is_one_clear_sentence(kwargs, message):
    with pytest.raises(InputError) as caught:
        reading(planted(60), **{"tokenizers": MINE} | kwargs)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_names_of_a_result_are_refused(words):
    with pytest.raises(InputError, match="no reader 'eyes'; allowed: features, ngrams"):
        words.difference("eyes")
    with pytest.raises(InputError, match="score is 'f1'; allowed: auc, accuracy"):
        words.scores("f1")
    with pytest.raises(InputError, match="no part 'x'; allowed: all"):
        words.scores(part="x")


def test_a_table_without_traces_needs_texts():
    ds = planted(60)
    table = ds.drop_vars(["token_id", "n_tokens", "correct", "prompt"])
    with pytest.raises(InputError, match=r"the study stores no token_id .* pass texts="):
        reading(table)
    given = reading(table, texts=failed_text(ds, tokenizers=MINE).tolist(), **FEW)
    assert given.readers == ("features", "ngrams", "failures", "no_signal", "commonest")
    assert given.scores()[1].mean() > 0.99
    assert given.about["ngrams"] == "character n-grams of 1 to 4 in the texts passed"


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the authors' table is not here")
def test_authors_rows_can_be_read_with_texts():
    ds = rnb.from_profiles(PUBLISHED)
    found = reading(
        ds, target="method", texts=[f"by {x}" for x in ds["method"].values], n_repeats=1
    )
    assert found.scores("accuracy")[1].mean() == 1.0
    assert found.scores("accuracy")[0].mean() > 0.99


def test_the_seed_decides_and_input_is_not_changed(words):
    ds = planted()
    before = ds.copy(deep=True)
    assert reading(ds, tokenizers=MINE, **FEW).to_dict() == words.to_dict()
    xr.testing.assert_identical(ds, before)
    data = json.loads(json.dumps(words.to_dict(), allow_nan=False))
    lead = words.difference("ngrams")
    assert data["leads"]["ngrams"]["auc"]["value"] == pytest.approx(lead.value)
    assert data["leads"]["ngrams"]["auc"]["low_checkpoints"] is None and np.isnan(lead[3])


def test_table_and_chart(words):
    whole = words.to_dataframe()
    assert whole["population"].unique().tolist() == list(words.populations)
    frame = whole[whole["population"] == "failed_first_1"]
    assert frame["reader"].tolist() == list(words.readers)
    assert frame["auc"].tolist() == pytest.approx(words.scores().mean(axis=(1, 2)).tolist())
    assert (
        tuple(frame.loc[1, ["auc_lead", "auc_low", "auc_high"]]) == words.difference("ngrams")[:3]
    )
    assert np.isnan(frame.loc[0, "auc_lead"])
    several = pd.concat([frame, frame.assign(part="again")])
    for each in (whole, frame, several):
        before = each.copy()
        spec = charts.plot_reading(each).to_dict()
        for key, value in parts(spec):
            assert key not in COMPUTING or value is None, (key, value)
        assert {value for key, value in parts(spec) if key == "field"} <= set(each.columns)
        pd.testing.assert_frame_equal(each, before)
    with pytest.raises(InputError, match="no column"):
        charts.plot_reading(frame[["part"]])


def test_a_result_is_drawn_as_its_frame(words):
    check_shown(words, charts.plot_reading(words.to_dataframe()))


def test_figures_are_labelled(words, tmp_path):
    whole = words.dataset
    assert whole["auc"].dims == ("population", "part", "reader", "repeat", "fold")
    assert whole["population"].values.tolist() == list(words.populations)
    found = whole.isel(population=0)
    assert found["reader"].values.tolist() == list(words.readers)
    assert found["part"].values.tolist() == ["all"]
    ngrams = found["auc"].sel(part="all", reader="ngrams").values
    assert ngrams.tolist() == words.scores()[words.readers.index("ngrams")].tolist()
    assert str(found["about"].sel(reader="length").values) == "tokens of a failed rollout"
    assert int(found["n"].sel(part="all")) == words.parts["all"].n
    assert float(found["majority"].sel(part="all")) == words.parts["all"].majority
    whole.to_netcdf(tmp_path / "found.nc")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "found.nc"), whole)
