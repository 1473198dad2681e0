"""The two tokenizers: single characters, and words with numbers of up to two digits per token."""

import string

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from recover_nb.core.labels import Family

PAD, EOS, UNKNOWN = "<pad>", "<eos>", "<unk>"
_SYMBOLS = "\n +-*=%()#.;:?/,"
_CHARACTERS = [*_SYMBOLS, *string.digits, *string.ascii_lowercase, *"ABCD"]
_WORDS = ["for", " i ", "in", "range", "print", "ma", "pa", "kid", "is"]
_NUMBERS = [str(n) for n in range(10, 100)]

#: How a family cuts text into tokens, and the tokens it knows.
_PIECES = {
    Family.QWEN3: (r"[\s\S]", _CHARACTERS),
    Family.NEOX: (
        r"[1-9][0-9]|for| i |in|range|print|ma|pa|kid|is|[\s\S]",
        [*_CHARACTERS, *_WORDS, *_NUMBERS],
    ),
}


def make_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """Return a family's tokenizer; pad, end and unknown tokens have the ids 0, 1 and 2."""
    pattern, pieces = _PIECES[Family(family)]
    vocabulary = {piece: i for i, piece in enumerate([PAD, EOS, UNKNOWN, *pieces])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
