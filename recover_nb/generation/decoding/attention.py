"""Attention of few new tokens over a cache whose rows share their prompts, on processors.

Many rollouts go on from one prompt. Its keys are kept once, not once for every rollout, and one
matrix product serves all rollouts of a prompt. Models do not know: what they are given is a tensor
of the whole cache, and only `scaled_dot_product_attention` looks into it. Whatever else is done
with it, it is written out whole first.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch.utils._pytree import tree_map

#: More new tokens than this are left to torch, which need not hold all of their scores at once.
FEW_TOKENS = 32


@dataclass(eq=False)
class Shared:
    """Which of C prompts each of B rows goes on from: one object for all layers of a cache.

    Attributes
    ----------
    owner : (B,) int64
    n : int
        C.
    """

    owner: torch.Tensor
    n: int
    _taken: Any = field(default=None, repr=False)

    @cached_property
    def _most(self) -> int:
        return int(self._counts.max())

    @cached_property
    def _counts(self) -> torch.Tensor:
        return torch.bincount(self.owner, minlength=self.n)

    @cached_property
    def _even(self) -> bool:
        """Rows of a prompt lie together, and are as many for each."""
        in_order = torch.arange(self.n, device=self.owner.device).repeat_interleave(self._most)
        return torch.equal(in_order, self.owner)

    @cached_property
    def _place(self) -> torch.Tensor:
        """Place of each row among C x most places, (B,) int64."""
        order = torch.argsort(self.owner, stable=True)
        first = self._counts.cumsum(0) - self._counts
        among = torch.arange(len(order), device=order.device) - first[self.owner[order]]
        place = torch.empty_like(order)
        place[order] = self.owner[order] * self._most + among
        return place

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Lay rows (B, heads, n, size) out by prompt: (C, heads, most x n, size).

        Places without a row hold zeros.
        """
        heads, n, size = rows.shape[1:]
        if self._even:
            laid = rows
        else:
            laid = rows.new_zeros((self.n * self._most, heads, n, size))
            laid[self._place] = rows
        laid = laid.view(self.n, self._most, heads, n, size).transpose(1, 2)
        return laid.reshape(self.n, heads, self._most * n, size)

    def spread(self, laid: torch.Tensor, n: int) -> torch.Tensor:
        """Undo `gather`, where `n` lines belong to each row."""
        heads, size = laid.shape[1], laid.shape[-1]
        rows = laid.view(self.n, heads, self._most, n, size).transpose(1, 2)
        rows = rows.reshape(self.n * self._most, heads, n, size)
        return rows if self._even else rows[self._place]

    def take(self, places: torch.Tensor) -> tuple["Shared", torch.Tensor]:
        """Return what is left for the rows at `places`, and which of the prompts those are."""
        # Every layer asks, and with the very same places.
        if self._taken is None or self._taken[0] is not places:
            kept, owner = torch.unique(self.owner[places], return_inverse=True)
            self._taken = places, Shared(owner, len(kept)), kept
        return self._taken[1:]


class Cached(torch.Tensor):
    """Keys or values (B, heads, length, size): of a row's prompt, then its own.

    Attributes
    ----------
    room : (B, heads, at least n, size) tensor
        The row's own, then zeros. Products go over all of it: a part of it would have gaps between
        rows, and reading past gaps takes up to four times as long.
    n : int
        How many of its own there are.
    prompt : (C, heads, length - n, size) tensor, or None
    shared : Shared, or None
    """

    room: torch.Tensor
    n: int
    prompt: torch.Tensor | None
    shared: Shared | None

    @staticmethod
    def __new__(
        cls,
        room: torch.Tensor,
        n: int,
        prompt: torch.Tensor | None = None,
        shared: Shared | None = None,
    ) -> "Cached":
        """Wrap both parts; nothing is copied."""
        length = n + (0 if prompt is None else prompt.shape[-2])
        shape = (*room.shape[:-2], length, room.shape[-1])
        made = torch.Tensor._make_wrapper_subclass(cls, shape, dtype=room.dtype, device=room.device)
        made.room, made.n, made.prompt, made.shared = room, n, prompt, shared
        return made

    def whole(self) -> torch.Tensor:
        """Write it out."""
        own = self.room[..., : self.n, :]
        if self.prompt is None or self.shared is None:
            return own
        return torch.cat([self.prompt[self.shared.owner], own], -2)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Answer attention from the parts."""
        kwargs = kwargs or {}
        if func is torch.nn.functional.scaled_dot_product_attention and _is_plain(*args, **kwargs):
            return attend(*args, **kwargs)
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do anything else with the whole."""
        args, kwargs = tree_map(_written_out, (args, kwargs or {}))
        return func(*args, **kwargs)


def _written_out(value: Any) -> Any:
    return value.whole() if isinstance(value, Cached) else value


def _is_plain(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **kwargs: Any,
) -> bool:
    """Say whether `attend` can answer: a few tokens, and a mask that says all that is masked.

    In half precision products would round the scores, which torch's own attention does not.
    """
    return (
        isinstance(key, Cached)
        and isinstance(value, Cached)
        and type(query) is torch.Tensor
        and query.ndim == 4
        and len(query) == len(key)
        and query.dtype == key.dtype == value.dtype
        and query.dtype.itemsize >= 4
        and query.shape[2] <= FEW_TOKENS
        and (attn_mask is None or attn_mask.ndim == 4)
        and not is_causal
        and not dropout_p
        and (kwargs.get("enable_gqa") or query.shape[1] == key.shape[1])
        and not torch.is_grad_enabled()
    )


def attend(
    query: torch.Tensor,
    key: Cached,
    value: Cached,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Return what `scaled_dot_product_attention` does, as matrix products.

    Parameters
    ----------
    query : (B, heads, n, size)
    key, value : Cached
        With as many heads, or a divisor of them (`enable_gqa`).
    attn_mask : (B or 1, heads or 1, n or 1, length) bool or float, optional
    """
    rows, heads, n, size = query.shape
    held = key.room.shape[1]
    if heads != held:
        # Heads that read the same keys are further lines of one product.
        query = query.reshape(rows, held, heads // held * n, size)
        attn_mask = _by_key_heads(attn_mask, held, heads // held, n)
    shared, lines = key.shared, query.shape[2]
    scores = torch.matmul(query, key.room.transpose(-1, -2))[..., : key.n]
    if shared is not None and key.prompt is not None:
        of_prompt = torch.matmul(shared.gather(query), key.prompt.transpose(-1, -2))
        scores = torch.cat([shared.spread(of_prompt, lines), scores], -1)
    scores = scores * (size**-0.5 if scale is None else scale)
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            # Not infinity: padding that sees nothing must come out as a number.
            scores.masked_fill_(~attn_mask, torch.finfo(scores.dtype).min)
        else:
            scores.add_(attn_mask)
    weight = scores.softmax(-1)
    before = scores.shape[-1] - value.n
    over_room = torch.nn.functional.pad(weight[..., before:], (0, value.room.shape[-2] - value.n))
    out = torch.matmul(over_room, value.room)
    if shared is not None and value.prompt is not None:
        of_prompt = torch.matmul(shared.gather(weight[..., :before]), value.prompt)
        out = out + shared.spread(of_prompt, lines)
    return out.reshape(rows, heads, n, value.room.shape[-1])


def _by_key_heads(mask: torch.Tensor | None, held: int, group: int, n: int) -> torch.Tensor | None:
    """Give each line of the wider product its mask."""
    if mask is None or (mask.shape[1] == 1 and mask.shape[2] == 1):
        return mask
    mask = mask.expand(mask.shape[0], held * group, n, mask.shape[3])
    return mask.reshape(mask.shape[0], held, group * n, mask.shape[3])
