"""One model under the decode loop: its KV cache, the rows it still serves, and their logits."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch

from recover_nb.core.errors import InputError
from recover_nb.generation.decoding.caches import SMALL, new_cache, select_rows, share_rows
from recover_nb.generation.decoding.pair import Pair
from recover_nb.generation.decoding.products import faster, linear_layers

#: Rows are dropped from the cache once fewer than this share of them is still wanted: copying costs
#: about a step.
COMPACT_BELOW = 0.75
#: What models call their cache, the preferred name first: transformers 5.24 renamed it, and 5.40
#: drops the old name.
CACHE_NAMES = ("cache", "past_key_values")


def pad_left(contexts: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and attention mask, both (C, L) int64, of contexts padded on the left.

    Contexts are ragged.
    """
    length = max(map(len, contexts))
    ids = torch.full((len(contexts), length), pad_id)
    mask = torch.zeros((len(contexts), length), dtype=torch.int64)
    for row, context in enumerate(contexts):
        ids[row, length - len(context) :] = torch.as_tensor(context)
        mask[row, length - len(context) :] = 1
    return ids, mask


def forward_arguments(model: Any) -> set[str]:
    """Return the names of the arguments that `model` takes, ``**kwargs`` not counted.

    A wrapper that passes ``**kwargs`` on (``torch.compile``, PEFT, ``DataParallel``) takes what the
    model in it takes.
    """
    names: set[str] = set()
    while model is not None:
        known = inspect.signature(model.forward).parameters.values()
        names |= {
            each.name
            for each in known
            if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        }
        passes_on = any(each.kind is each.VAR_KEYWORD for each in known)
        model = _wrapped(model) if passes_on else None
    return names


def _wrapped(model: Any) -> Any:
    """Return the model that `model` wraps, or None."""
    if hasattr(model, "_orig_mod"):
        return model._orig_mod
    if isinstance(model, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
        return model.module
    base = model.get_base_model() if hasattr(model, "get_base_model") else None
    return None if base is model else base


def cache_name(model: Any) -> str:
    """Return the name under which `model` takes its cache.

    Raises
    ------
    InputError
        If its forward takes none of `CACHE_NAMES`: a cache that vanishes in ``**kwargs`` ruins
        every result silently.
    """
    known = forward_arguments(model)
    for name in CACHE_NAMES:
        if name in known:
            return name
    raise InputError(
        f"{type(model).__name__}: its forward takes no cache; allowed is an argument named"
        f" {' or '.join(CACHE_NAMES)} (**kwargs alone does not say that a cache is used); use a"
        " causal language model of transformers, or add it"
    )


class Forward:
    """Call a model with the optional arguments it knows, trimmed to the shared vocabulary.

    The arguments are those of transformers.

    Raises
    ------
    InputError
        As `cache_name`.
    """

    def __init__(self, model: Any, pair: Pair) -> None:
        self.model, self.pair = model, pair
        known = forward_arguments(model)
        self._cache_name = cache_name(model)
        self._takes_positions = "position_ids" in known
        self._takes_keep = "logits_to_keep" in known
        self._linear_layers = linear_layers(model)

    def __call__(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor | None,
        positions: torch.Tensor,
        cache: Any = None,
        keep: int = 1,
    ) -> torch.Tensor:
        """Return the last `keep` positions' logits (B, keep, vocabulary), float32."""
        extra: dict[str, Any] = {"position_ids": positions} if self._takes_positions else {}
        if self._takes_keep:
            extra["logits_to_keep"] = keep
        with faster(self._linear_layers, ids.numel()):
            output = self.model(
                input_ids=ids,
                attention_mask=mask,
                use_cache=cache is not None,
                **{self._cache_name: cache},
                **extra,
            )
        return output.logits[:, -keep:, : self.pair.vocab_size].float()


class Runner:
    """Serve logits of the next token to the rows of one batch, lazily.

    Every distinct context is read once; its cache is shared out to the rows still held when they go
    on from there. A runner that was not asked for some steps catches up in one go, so an ancestor
    that is never asked costs nothing.

    Parameters
    ----------
    model : causal language model
    pair : Pair
    contexts : distinct token sequences; `owner` (B,) says which one each row continues
    n_steps : int
        Most steps the loop can take.
    small : int
        As of `GrowingLayer`.
    """

    def __init__(
        self,
        model: Any,
        pair: Pair,
        contexts: Sequence[Sequence[int]],
        owner: torch.Tensor,
        n_steps: int,
        *,
        small: int = SMALL,
    ) -> None:
        self._forward, self._small = Forward(model, pair), small
        self._pair, self._contexts, self._owner, self._n_steps = pair, contexts, owner, n_steps
        self._cache: Any = None
        self._fed = 0
        self._logits: Any = None
        self.rows = torch.arange(len(owner), device=pair.device)
        #: Positions evaluated on behalf of each row, kept by the loop: rows that only went along do
        #: not count.
        self.evaluated = torch.zeros(len(owner), dtype=torch.int32, device=pair.device)

    def keep(self, wanted: torch.Tensor) -> None:
        """Drop rows not `wanted` (B,) bool from the cache, once enough to be worth the copy."""
        held = wanted[self.rows]
        n_wanted = int(held.sum())
        if n_wanted == len(self.rows) or n_wanted >= COMPACT_BELOW * len(self.rows):
            return
        places = held.nonzero().squeeze(-1)
        self.rows = self.rows[places]
        if self._cache is not None and n_wanted:
            self._logits = self._logits[places]
            if self._fed:
                self._select(places)

    def logits(self, history: torch.Tensor, step: int) -> torch.Tensor:
        """Return next-token logits (n, V) of the held rows after `step` emitted tokens.

        Parameters
        ----------
        history : (B, steps) int64
            Tokens emitted so far, in columns 0 to `step` - 1.
        """
        if self._cache is None:
            self._read_contexts()
        if step > self._fed:
            # Rows that have ended have no token (-1); what they are fed is of no consequence.
            tokens = history[self.rows, self._fed : step].clamp(min=0)
            for part in [tokens] if self._pair.reads_several else tokens.split(1, dim=1):
                self._logits = self._feed(part)
            self._check_finite(self._logits, f"a trace of {step} tokens")
        return self._logits

    def _check_finite(self, logits: torch.Tensor, what: str) -> None:
        """Refuse logits (n, V) that no token can be chosen from.

        The largest of a row tells: it is NaN where one is. Where all tokens are forbidden, it is
        minus infinity.
        """
        if not bool(logits.amax(-1).isfinite().all()):
            raise InputError(
                f"{self._pair.name_of(self._forward.model)} gives logits on {what} that are no"
                " finite numbers (NaN or infinity); check its weights, or use dtype float32"
            )

    def _select(self, places: torch.Tensor, *, first: bool = False) -> None:
        if first:
            share_rows(self._cache, places, len(self._contexts))
        else:
            select_rows(self._cache, places)
        self._mask, self._lengths = self._mask[places], self._lengths[places]

    def _read_contexts(self) -> None:
        ids, mask = (
            each.to(self._pair.device) for each in pad_left(self._contexts, self._pair.pad_id)
        )
        self._width = ids.shape[1]
        self._no_padding = bool(mask.all())
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        self._cache = new_cache(self._forward.model, self._small)
        logits = self._forward(ids, None if self._no_padding else mask, positions, self._cache)[
            :, -1
        ]
        self._check_finite(logits, "a prompt")
        room = torch.ones((len(mask), self._n_steps), dtype=mask.dtype, device=mask.device)
        self._mask, self._lengths = torch.cat([mask, room], -1), mask.sum(-1)
        self._logits = logits[self._owner[self.rows]]

    def _feed(self, tokens: torch.Tensor) -> torch.Tensor:
        if not self._fed:
            self._select(self._owner[self.rows], first=True)
        end = self._fed + tokens.shape[1]
        steps = torch.arange(self._fed, end, device=tokens.device)
        mask = None if self._no_padding else self._mask[:, : self._width + end]
        logits = self._forward(tokens, mask, self._lengths[:, None] + steps, self._cache)
        self._fed = end
        return logits[:, -1]
