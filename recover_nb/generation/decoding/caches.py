"""The cache of a model: layers that grow in place, and rows picked out of every kind of layer."""

from typing import Any, cast

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from recover_nb.generation.decoding.attention import Cached, Shared

#: How many positions the cache grows by.
GROWTH = 16
#: Rows for each prompt from which on the prompts' part is kept once.
SHARED_FROM = 1.5
#: Numbers of a layer's keys below which torch's own attention, over a cache without parts, is done
#: before ours has begun.
SMALL = 2**18


class GrowingLayer(DynamicLayer):
    """A cache layer that writes into spare room instead of copying the cache at every step.

    `DynamicLayer` copies it. On processors, rows can share what is held of their prompts.

    Parameters
    ----------
    small : int or None
        A cache whose keys are fewer numbers than this is one plain tensor; None: any cache is.
    """

    def __init__(self, small: int | None = SMALL) -> None:
        super().__init__()
        self._small = small
        self._room: list[torch.Tensor] = []
        self._used = 0
        self._prompt: list[torch.Tensor] = []
        self._shared: Shared | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append new states (B, heads, n, size) and return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self._used + key_states.shape[-2]
        if not self._room or self._room[0].shape[-2] < end:
            self._room = [
                self._grown(old, new, self._used, end)
                for old, new in zip(
                    self._room or (None, None), (key_states, value_states), strict=True
                )
            ]
        for room, new in zip(self._room, (key_states, value_states), strict=True):
            room[..., self._used : end, :] = new
        self._used = end
        return self._show()

    def get_seq_length(self) -> int:
        """Return how many positions are held."""
        return self._used + (self._prompt[0].shape[-2] if self._prompt else 0)

    @staticmethod
    def _grown(old: torch.Tensor | None, new: torch.Tensor, used: int, end: int) -> torch.Tensor:
        room = new.new_zeros((*new.shape[:-2], end - end % GROWTH + GROWTH, new.shape[-1]))
        if old is not None and used:
            room[..., :used, :] = old[..., :used, :]
        return room

    def _show(self) -> tuple[torch.Tensor, torch.Tensor]:
        held = [room[..., : self._used, :] for room in self._room]
        if self._prompt or self._pays(held[0]):
            prompts = self._prompt or (None, None)
            held = [
                Cached(room, self._used, each, self._shared)
                for room, each in zip(self._room, prompts, strict=True)
            ]
        self.keys, self.values = held
        return held[0], held[1]

    def _pays(self, keys: torch.Tensor, rows: int | None = None) -> bool:
        """Say whether attention by parts pays for so many keys, or for as many of `rows` rows."""
        if self._small is None or keys.device.type != "cpu" or torch.compiler.is_compiling():
            return False
        size = keys[0].numel() * (len(keys) if rows is None else rows)
        return keys.dtype.itemsize >= 4 and size >= self._small

    def share(self, shared: Shared) -> None:
        """Go on with rows of which each begins with what is held in the row of its owner.

        What is held so far is kept once, where that pays.
        """
        owner = shared.owner
        if not self._room:
            return
        held, rows = self._room[0][..., : self._used, :], len(owner)
        if rows < SHARED_FROM * len(held) or not self._pays(held, rows):
            self.reorder_cache(owner)
            return
        self._prompt = [room[..., : self._used, :].contiguous() for room in self._room]
        self._shared = shared
        self._room = [
            each.new_zeros((len(owner), each.shape[1], GROWTH, each.shape[-1]))
            for each in self._prompt
        ]
        self._used = 0
        self._show()

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Keep (or repeat) rows of the batch, spare room included.

        That takes one copy of whole rows, and none to grow again.
        """
        if not self._room:
            return
        self._room = [room.index_select(0, beam_idx) for room in self._room]
        if self._shared is not None:
            self._shared, kept = self._shared.take(beam_idx)
            if len(kept) < len(self._prompt[0]):
                self._prompt = [each.index_select(0, kept) for each in self._prompt]
        self._show()


def new_cache(model: Any, small: int | None = SMALL) -> DynamicCache:
    """Return an empty cache for `model`, with special layers as transformers makes them.

    Sliding windows and the states of recurrent layers are special, among others. `small` is that of
    `GrowingLayer`. What is compiled, or has other attention than torch's, is given plain tensors.
    """
    compiled = hasattr(model, "_orig_mod") or getattr(model, "_compiled_call_impl", None)
    attention = getattr(model.config.get_text_config(), "_attn_implementation", None)
    if compiled or attention != "sdpa":
        small = None
    cache = DynamicCache(config=model.config)
    cache.layers = [
        GrowingLayer(small) if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache


def select_rows(cache: DynamicCache, places: torch.Tensor) -> None:
    """Keep (or repeat) the rows at `places` (n,) int64 in every layer of `cache`.

    It is what beam search calls: the one way in which layers of every kind, recurrent ones among
    them, pick rows. `batch_select_indices` leaves the states of hybrid layers as they are.
    """
    cache.reorder_cache(cast(torch.LongTensor, places))


def share_rows(cache: DynamicCache, owner: torch.Tensor, n: int) -> None:
    """Go on with rows of which each begins with what is held in row `owner` (B,) int64 of `n`.

    Layers that can keep it once do; in the others it is copied for every row.
    """
    grow = [isinstance(layer, GrowingLayer) for layer in cache.layers]
    if not all(grow):
        # Layers of special kinds pick their rows in ways of their own, all layers at once.
        select_rows(cache, owner)
        return
    shared = Shared(owner, n)
    for layer in cache.layers:
        cast(GrowingLayer, layer).share(shared)
