"""A byte-level BPE tokenizer, as most published models have one, trained on the spot."""

from functools import lru_cache
from random import Random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEXT = "The sum is 7. Add 3 and 4, then check: it is 7. A guess is 8 or 12; the answer is 15."


@lru_cache
def byte_level_tokenizer(size: int = 320) -> PreTrainedTokenizerFast:
    """Return a tokenizer of at most `size` entries: 256 bytes, <eos>, and merges.

    Above 1,000 entries it also learns made-up words, so that there are enough to merge.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=["<eos>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT] * 50 + _words(size), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<eos>", clean_up_tokenization_spaces=False
    )


def _words(size: int) -> list[str]:
    """Return lines of made-up words, each several times; none for a small tokenizer."""
    random = Random(0)
    syllables = [a + b for a in "bcdfghjklmnprstvwz" for b in ("a", "e", "i", "o", "u", "an", "er")]
    words = [
        "".join(random.choices(syllables, k=random.randint(2, 4)))
        for _ in range(size if size > 1000 else 0)
    ]
    return [" ".join(words)] * 3
