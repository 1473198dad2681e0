"""The cache of a model: layers that grow in place, and rows picked out of every kind of layer."""

from typing import Any, cast

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

#: How many positions the cache grows by.
GROWTH = 32


class GrowingLayer(DynamicLayer):
    """A cache layer that writes into spare room instead of copying the cache at every step.

    `DynamicLayer` copies it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._room: list[torch.Tensor] = []

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append new states (B, heads, n, size) and return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        used = self.get_seq_length()
        end = used + key_states.shape[-2]
        if not self._room or self._room[0].shape[-2] < end:
            self._room = [
                self._grown(old, new, used, end)
                for old, new in zip(
                    (self.keys, self.values), (key_states, value_states), strict=True
                )
            ]
        for room, new in zip(self._room, (key_states, value_states), strict=True):
            room[..., used:end, :] = new
        self.keys, self.values = (room[..., :end, :] for room in self._room)
        return self.keys, self.values

    @staticmethod
    def _grown(old: torch.Tensor | None, new: torch.Tensor, used: int, end: int) -> torch.Tensor:
        room = new.new_empty((*new.shape[:-2], end + GROWTH, new.shape[-1]))
        if old is not None and used:
            room[..., :used, :] = old
        return room

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Keep (or repeat) rows of the batch, spare room included.

        That takes one copy of whole rows, and none to grow again.
        """
        if not self._room:
            return
        used = self.get_seq_length()
        self._room = [room.index_select(0, beam_idx) for room in self._room]
        self.keys, self.values = (room[..., :used, :] for room in self._room)


def new_cache(model: Any) -> DynamicCache:
    """Return an empty cache for `model`, with special layers as transformers makes them.

    Sliding windows and the states of recurrent layers are special, among others.
    """
    cache = DynamicCache(config=model.config)
    cache.layers = [
        GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache


def select_rows(cache: DynamicCache, places: torch.Tensor) -> None:
    """Keep (or repeat) the rows at `places` (n,) int64 in every layer of `cache`.

    It is what beam search calls: the one way in which layers of every kind, recurrent ones among
    them, pick rows. `batch_select_indices` leaves the states of hybrid layers as they are.
    """
    cache.reorder_cache(cast(torch.LongTensor, places))
