"""Parts of a layer's channels under names of their own: queries, keys, values and heads.

blocks.3.attn.qkv:q         the queries of a fused projection
blocks.3.attn.qkv:v.head5   its fifth head (from 0) of the values
layers.3.attention.q_proj:head5
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from fastdissect.errors import LayerError
from fastdissect.models.layers import get_layer, resolve_layers

__all__ = ["ChannelPart", "channel_part", "channel_parts"]

_ONE = frozenset(
    {"query", "key", "value", "q_proj", "k_proj", "v_proj", "q", "k", "v", "q_lin", "k_lin", "v_lin"}
)
_FUSED = {"q": 0, "k": 1, "v": 2}
# Attention whose fused projection is [queries, keys, values], each [heads, channels]: read in their sources.
_ORDERED = frozenset({"Attention", "WindowAttention", "EvaAttention", "BlipAttention", "MemEffAttention"})


@dataclass(frozen=True)
class ChannelPart:
    """Channels `start` to `stop` of a layer, as units of their own; a view, nothing is copied."""

    name: str
    layer: str
    start: int
    stop: int

    @property
    def units(self) -> int:
        return self.stop - self.start

    def __call__(self, maps: Tensor) -> Tensor:
        """[n, channels, h, w] -> [n, units, h, w], in place."""
        if maps.shape[1] < self.stop:
            raise LayerError(
                f"layer {self.name!r}: expected a layer of at least {self.stop} channels, got {maps.shape[1]}"
            )
        return maps[:, self.start : self.stop]

    def record(self) -> dict[str, Any]:
        """What run.json says of it."""
        return {"layer": self.layer, "channels": [self.start, self.stop]}


def channel_part(model: nn.Module, name: str) -> ChannelPart:
    """Resolve "LAYER:PART"; a part is q, k or v of a fused projection, headN, or both with a dot between.

    Raises:
        LayerError: no such layer or part, or a layer whose channels lie in an order that is not known.

    >>> attention = nn.Module()
    >>> attention.q_proj, attention.num_heads = nn.Linear(8, 8), 2
    >>> channel_part(nn.ModuleDict({"attn": attention}), "attn.q_proj:head1")
    ChannelPart(name='attn.q_proj:head1', layer='attn.q_proj', start=4, stop=8)
    """
    layer, _, part = name.partition(":")
    module, around = get_layer(model, layer), layer.rpartition(".")[0]
    parent = get_layer(model, around) if around else model
    which, _, head = part.rpartition(".") if "." in part else ("", "", part)
    if head in _FUSED and not which:
        which, head = head, ""
    width = module.out_features if isinstance(module, nn.Linear) else 0
    start, stop = 0, width
    last = layer.rpartition(".")[2]
    if last == "qkv" and which in _FUSED and width % 3 == 0:
        known = {kind.__name__ for kind in type(parent).__mro__} & _ORDERED
        if not known:
            raise LayerError(
                f"layer {name!r}: expected an attention whose fused projection is known to be queries, keys, values; got "
                f"{type(parent).__name__}; give the rows that you mean as Directions({layer!r}, matrix)"
            )
        start, stop = (n * width // 3 for n in (_FUSED[which], _FUSED[which] + 1))
    elif last not in _ONE or which or not width:
        raise LayerError(
            f"layer {name!r}: expected a part of queries, keys or values: qkv:q, qkv:v.head0, q_proj:head0; got "
            f"{part!r} of a layer {last!r} ({type(module).__name__}); the channels of an attention's output mix all heads"
        )
    if head:
        start, stop = _head(name, parent, head, start, stop)
    return ChannelPart(name, layer, start, stop)


def channel_parts(model: nn.Module, patterns: Iterable[str]) -> tuple[list[str], dict[str, ChannelPart]]:
    """Part names and patterns: those without ":" as they are, the others resolved, {name: part}.

    >>> net = nn.ModuleDict({"q_proj": nn.Linear(8, 8)})
    >>> net.num_heads = 2
    >>> plain, parts = channel_parts(net, ["q_proj", "*:head0"])
    >>> plain, list(parts)
    (['q_proj'], ['q_proj:head0'])
    """
    plain: list[str] = []
    parts: dict[str, ChannelPart] = {}
    for pattern in patterns:
        layers, colon, part = pattern.partition(":")
        if not colon:
            plain.append(pattern)
            continue
        for layer in resolve_layers(model, layers):
            parts[f"{layer}:{part}"] = channel_part(model, f"{layer}:{part}")
    return plain, parts


def _head(name: str, parent: nn.Module, head: str, start: int, stop: int) -> tuple[int, int]:
    sizes = [getattr(parent, key, None) for key in ("head_dim", "attention_head_size")]
    size = next((n for n in sizes if isinstance(n, int) and n > 0), None)
    if size is None:
        counts = [getattr(parent, key, None) for key in ("num_heads", "num_attention_heads")]
        count = next((n for n in counts if isinstance(n, int) and n > 0), None)
        size = None if count is None else (stop - start) // count
    if not size or (stop - start) % size:
        raise LayerError(f"layer {name!r}: expected an attention that names its heads (num_heads, head_dim)")
    number = head.removeprefix("head")
    heads = (stop - start) // size
    if not head.startswith("head") or not number.isascii() or not number.isdecimal() or int(number) >= heads:
        raise LayerError(f"layer {name!r}: expected q, k, v or head0 to head{heads - 1}; got {head!r}")
    return start + int(number) * size, start + (int(number) + 1) * size
