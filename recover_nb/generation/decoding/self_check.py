"""Does a model with its cache say what it says without? Asked of every model before it decodes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import PreTrainedModel

from recover_nb.core.errors import InputError
from recover_nb.generation.decoding.cached_model import Runner, cache_name
from recover_nb.generation.decoding.loading import plain_reason
from recover_nb.generation.decoding.pair import Pair
from recover_nb.generation.decoding.vocabulary import PROBE

#: Tokens of the longer rows and of the shorter one, and how many of them follow the prompt. The
#: shorter prompt has less than a convolution sees.
LONG, SHORT, FOLLOWING = 12, 6, 4
#: How far logits may lie apart, as a share of their spread: rounding stays well below it, what
#: a model says without its past lies well above.
TOLERANCE, TOLERANCE_HALF = 5e-3, 0.25
#: Logits that mean "never" are cut here, or nothing else would count.
NEVER = 1e4

#: (reads padded, reads several) of the models that were asked before in this process.
_known: dict[tuple, tuple[bool, bool]] = {}


@dataclass(frozen=True)
class _Row:
    """Tokens of one row, and the logits (L, V) of a plain pass over them."""

    tokens: list[int]
    logits: torch.Tensor


@torch.inference_mode()
def check_reading(pair: Pair) -> Pair:
    """Return `pair` with the ways in which its models can be read.

    A few tokens are decoded with the cache and compared with a plain pass over the same: rows of
    unequal length, rows repeated and dropped, several tokens at once. A way that is not exact is
    not taken; a model without any is refused.

    Raises
    ------
    InputError
        A model whose logits are no finite numbers, whose forward raises, or whose cached pass
        differs from a plain one.
    """
    models, size = (pair.specialist, pair.ancestor), min(LONG, pair.max_positions or LONG)
    for model in models:
        cache_name(model)
    if size < SHORT:
        return pair
    tokens = _tokens(pair)
    found = [_ask(model, pair, tokens, size) for model in models]
    padded, several = (all(each) for each in zip(*found, strict=True))
    return replace(pair, reads_padded=padded, reads_several=several)


def _tokens(pair: Pair) -> list[int]:
    """Return ordinary tokens of the shared vocabulary, enough for three rows."""
    try:
        probe = list(pair.tokenizer(PROBE)["input_ids"])
    # A tokenizer may refuse what it does not know; any tokens serve.
    except Exception:
        probe = []
    usable = [each for each in probe if 0 <= each < pair.vocab_size and each != pair.pad_id]
    if len(set(usable)) < min(5, pair.vocab_size):
        usable = list(range(pair.vocab_size))[: 2 * LONG]
    return (usable * 3 * LONG)[: 3 * LONG]


def _ask(model: Any, pair: Pair, tokens: list[int], size: int) -> tuple[bool, bool]:
    """Return whether a model can read padded rows, and several tokens after its cache."""
    try:
        long = _plain(model, pair, tokens[:size])
        key = _key(model, size)
        if key is None or key not in _known:
            other = _plain(model, pair, tokens[LONG : LONG + size])
            short = _plain(model, pair, tokens[2 * LONG : 2 * LONG + SHORT])
            found = _ways(model, pair, [long, other], [long, short])
            if key is None:
                return found
            _known[key] = found
        return _known[key]
    except InputError:
        raise
    # Whatever a forward raises, a user learns before the first token.
    except Exception as error:
        raise InputError(
            f"{pair.name_of(model)} ({type(model).__name__}) cannot be decoded: its forward raises"
            f" {type(error).__name__} ({plain_reason(error)}); allowed: causal language models of"
            " transformers that read text alone"
        ) from error


def _key(model: Any, size: int) -> tuple | None:
    """Return what the answer depends on; None for models that are wrapped, hooked or changed."""
    if not isinstance(model, PreTrainedModel) or not _is_of_transformers(type(model)):
        return None
    for module in model.modules():
        if module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__:
            return None
    kinds = frozenset(type(module) for module in model.modules())
    if not all(map(_is_of_transformers, kinds)):
        return None
    first = next(model.parameters())
    return type(model), kinds, model.config.to_json_string(), first.dtype, first.device, size


def _is_of_transformers(kind: type) -> bool:
    return kind.__module__.startswith(("transformers.", "torch."))


def _plain(model: Any, pair: Pair, tokens: list[int]) -> _Row:
    """Read one row with neither cache nor mask, and refuse what is no number."""
    ids = torch.tensor([tokens], device=pair.device)
    logits = model(input_ids=ids, use_cache=False).logits[0, :, : pair.vocab_size].float()
    if not bool(logits.amax(-1).isfinite().all()):
        raise InputError(
            f"{pair.name_of(model)} gives logits that are no finite numbers (NaN or infinity);"
            " check its weights, or use dtype float32"
        )
    return _Row(tokens, logits)


def _ways(model: Any, pair: Pair, equal: list[_Row], ragged: list[_Row]) -> tuple[bool, bool]:
    """Try the fastest way of reading first, then slower ones."""
    right, raised = [], None
    for several in (True, False):
        try:
            # Rows of one length go without a mask: where padding is right, this has to be as well.
            if not _agrees(model, pair, equal, several):
                continue
            right.append((False, several))
            if _agrees(model, pair, ragged, several):
                return True, several
        except Exception as error:
            raised = error
    if right:
        return right[0]
    if raised is not None:
        raise raised
    raise InputError(
        f"{pair.name_of(model)} ({type(model).__name__}) says something else with its cache than"
        " without, and its traces would be wrong; allowed: models whose forward goes on from the"
        " cache that it is given, as most causal language models of transformers do"
    )


def _agrees(model: Any, pair: Pair, rows: list[_Row], several: bool) -> bool:
    """Decode the last tokens of two rows; whether all logits are as a plain pass has them."""
    half = next(model.parameters()).dtype.itemsize < 4
    tolerance = TOLERANCE_HALF if half else TOLERANCE
    for found, row, place in _decoded(model, replace(pair, reads_several=several), rows):
        wanted = row.logits[place].clamp(-NEVER, NEVER)
        apart = (found.clamp(-NEVER, NEVER) - wanted).norm()
        if not bool(apart <= tolerance * (wanted - wanted.mean()).norm() + 1e-6):
            return False
    return True


def _decoded(model: Any, pair: Pair, rows: list[_Row]) -> Iterator[tuple[torch.Tensor, _Row, int]]:
    """Yield logits (V,) from the cache, the row they are of, and the place of its last token."""
    begins = [len(row.tokens) - FOLLOWING for row in rows]
    owner = [0, 1, 1]
    contexts = [row.tokens[:n] for row, n in zip(rows, begins, strict=True)]
    history = torch.tensor([rows[r].tokens[begins[r] :] for r in owner], device=pair.device)
    # A large cache is read in ways of its own; small=0 tries them on this small one.
    runner = Runner(
        model, pair, contexts, torch.tensor(owner, device=pair.device), FOLLOWING, small=0
    )
    for step in (0, 1, 2, FOLLOWING):
        logits = runner.logits(history, step)
        for place, at in enumerate(runner.rows.tolist()):
            yield logits[place], rows[owner[at]], begins[owner[at]] + step - 1
        if step == 1:
            runner.keep(torch.tensor([False, False, True], device=pair.device))
