"""A study of reasoning-gym's problems: tiny random models, graded by the task's own checker."""

import numpy as np
import pytest
from decoding_models import near, table_pair, tiny_model
from tokenizers import Regex, Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

import recover_nb as rnb

pytest.importorskip("reasoning_gym")


def tokenizer_of(texts):
    """A tokenizer that has every character of some texts."""
    words = ["<pad>", "<eos>", *sorted(set("".join(texts)))]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[2]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        clean_up_tokenization_spaces=False,
        pad_token="<pad>",
        eos_token="<eos>",
    )


def digits_pair(tokenizer):
    """Models that write a digit or two, or end, whatever they read."""
    vocabulary = tokenizer.get_vocab()
    row = np.full(len(vocabulary), 1e-9)
    row[[vocabulary[digit] for digit in "123"]] = 0.2
    row[1] = 0.4
    rows = [row / row.sum()] * len(vocabulary)
    return table_pair(rows, rows[::-1], tokenizer=tokenizer, eos_ids=(1,))


def random_pair(tokenizer):
    model = tiny_model(vocab_size=len(tokenizer.get_vocab()), max_position_embeddings=4096)
    return rnb.load_pair(model, near(model), tokenizer=tokenizer)


@pytest.mark.parametrize(
    ("name", "pair_of", "grades"),
    [("letter_counting", digits_pair, {0, 1}), ("chain_sum", random_pair, {0})],
)
def test_a_study_is_graded_by_the_task(name, pair_of, grades):
    problems, checker = rnb.tasks.from_reasoning_gym(name, n=6, seed=1)
    tokenizer = tokenizer_of([each.prompt for each in problems] + ["123"])
    ds = rnb.generate(
        pair_of(tokenizer),
        problems,
        checker=checker,
        interventions=["sparse_steer"],
        n_rollouts=8,
        n_attempts=2,
        settings=rnb.Settings(max_new_tokens=10),
    )
    assert ds["answer"].values.tolist() == [each.answer for each in problems]
    assert ds["problem_id"].values.tolist() == [f"{name}-1-{i}" for i in range(6)]
    observed = ds.sel(intervention="none")
    for i, problem in enumerate(problems):
        for r in range(8):
            tokens = observed["token_id"].values[i, r, : int(observed["n_tokens"][i, r])]
            text = tokenizer.decode(tokens, skip_special_tokens=True)
            right = text.strip() == problem.answer.partition(" [")[0]
            assert observed["correct"].values[i, r] == right
    assert set(observed["correct"].values.ravel().tolist()) == grades
    again = {each.problem_id: each.answer for each in rnb.read_problems(ds)}
    assert again == {each.problem_id: each.answer for each in problems}
