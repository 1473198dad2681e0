"""The calculator: what it evaluates, and what it forces in a trace."""

import numpy as np
import pytest
from decoding_models import char_tokenizer, table_pair

from recover_nb.generation.decoding import Settings, decode, evaluate
from recover_nb.tasks.tool import modulus_of


@pytest.mark.parametrize(
    ("text", "modulus", "digits"),
    [
        ("47+85=", 100, "32"),
        ("47+85=", None, "132"),
        ("3-5=", 100, "98"),
        ("3-5=", None, "-2"),
        ("7*8=", 100, "56"),
        ("50+50=", 100, "0"),
        ("a=4;12 * 3 =", 100, "36"),
        ("1+1=2\n47+85=", 100, "32"),
        ("x=2+3=", 100, "5"),
        ("1+2+3=", 100, None),
        ("1-2*3=", 100, None),
        ("a+2=", 100, None),
        ("a3+2=", 100, None),
        ("(1+2)*3=", 100, None),
        ("5=", 100, None),
        ("4/2=", 100, None),
        ("1.5+2=", 100, None),
        ("47+85=1", 100, None),
        ("", 100, None),
    ],
)
def test_evaluate(text, modulus, digits):
    assert evaluate(text, modulus) == digits


@pytest.mark.parametrize(
    ("prompt", "default", "modulus"),
    [
        ("(3*58)%97\n", 100, 97),
        ("a=a*b % 97;b%=10", 100, 97),
        ("3+4=", 100, 100),
        ("", None, None),
        ("50%", 7, 7),
    ],
)
def test_modulus_of_a_prompt(prompt, default, modulus):
    assert modulus_of(prompt, default) == modulus


def chain(tokenizer, links):
    """Return a table that makes each token be followed by the one it is linked to."""
    vocab, size = tokenizer.get_vocab(), len(tokenizer)
    table = np.full((size, size), 1e-9)
    table[:, vocab["<eos>"]] = 1e-6
    for before, after in links.items():
        table[vocab[before], vocab[after]] = 1.0
    return table


def text_under(intervention, tokenizer, links, prompt, **settings):
    table = chain(tokenizer, links)
    pair = table_pair(table, table, tokenizer, eos_ids=(tokenizer.eos_token_id,))
    found = decode(
        pair,
        [prompt],
        np.zeros(1, np.uint64),
        np.arange(3),
        intervention,
        Settings(max_new_tokens=16, **settings),
    )
    assert (found.forward_ancestor == 0).all()
    tokens = found.token_id[0, 0, : found.n_tokens[0, 0]]
    return "".join(tokenizer.convert_ids_to_tokens(tokens)), found


LINKS = {
    "?": "7",
    "7": "+",
    "+": "8",
    "8": "5",
    "5": "=",
    "=": "6",
    "6": ";",
    "2": ";",
    ";": "<eos>",
}


def test_characters_are_forced_one_by_one_and_control_returns():
    tokenizer = char_tokenizer()
    plain, retried = text_under("retry", tokenizer, LINKS, "?")
    assert plain == "7+85=6;<eos>"
    text, found = text_under("calculator", tokenizer, LINKS, "?")
    assert text == "7+85=92;<eos>"
    assert (found.fired_at == 5).all()
    np.testing.assert_array_equal(found.token_id[..., :5], retried.token_id[..., :5])


def test_a_number_that_is_one_token_is_forced_as_one():
    tokenizer = char_tokenizer("47 85 32 132")
    links = {
        "?": "47",
        "47": "+",
        "+": "85",
        "85": "=",
        "=": "6",
        "6": ";",
        "32": ";",
        "132": ";",
        ";": "<eos>",
    }
    text, found = text_under("calculator", tokenizer, links, "?")
    assert text == "47+85=32;<eos>"
    assert found.n_tokens[0, 0] == 7
    assert text_under("calculator", tokenizer, links, "?", modulus=None)[0] == "47+85=132;<eos>"


def test_the_tool_acts_again_on_the_next_expression():
    links = LINKS | {"2": "+", "=": "6", "6": "<eos>"}
    # 7+85=92, then 92+85=77, then "7" links to "+" again, until the trace is full.
    assert text_under("calculator", char_tokenizer(), links, "?")[0] == "7+85=92+85=77+85"


def test_results_are_taken_modulo_what_the_prompt_says():
    tokenizer = char_tokenizer("%")
    assert text_under("calculator", tokenizer, LINKS, "(1+2)%9?")[0] == "7+85=2;<eos>"


def test_an_expression_that_ends_in_the_prompt_is_the_models_to_answer():
    text, found = text_under("calculator", char_tokenizer(), LINKS, "7+85=")
    assert text == "6;<eos>"
    assert (found.fired_at == -1).all()
