"""Tokens that are no place (class, distillation, registers, detection): how many a network says that it adds."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

__all__ = ["SpecialTokens", "special_tokens"]

# Names of parameters in transformers, timm, torchvision, open_clip and the DINO repositories.
_BEFORE = {
    "cls_token": "class",
    "class_token": "class",
    "class_embedding": "class",
    "dist_token": "distillation",
    "distillation_token": "distillation",
    "register_tokens": "register",
    "reg_token": "register",
    "storage_tokens": "register",
}
_AFTER = {"detection_tokens": "detection"}


@dataclass(frozen=True)
class SpecialTokens:
    """`before` tokens in front of the grid and `after` tokens behind it, as some module names them.

    `shuffled`: the patches are in no order, because the network masks some of them at random.
    """

    before: int = 0
    after: int = 0
    words: str = ""
    shuffled: bool = False


def special_tokens(names: dict[str, nn.Module]) -> dict[str, SpecialTokens]:
    """What each module that holds special tokens says, under the name of the module around it.

    Args:
        names: {dotted name: module}, the network itself as "".

    >>> import torch
    >>> net = nn.Module()
    >>> net.cls_token = nn.Parameter(torch.zeros(1, 1, 8))
    >>> special_tokens({"": net})[""].before
    1
    """
    found: dict[str, SpecialTokens] = {}
    for name, module in names.items():
        before = {word: _count(module, key) for key, word in _BEFORE.items() if _count(module, key)}
        after = {word: _count(module, key) for key, word in _AFTER.items() if _count(module, key)}
        # timm says what it does, whatever it holds; its attention modules repeat a default there
        told = getattr(module, "num_prefix_tokens", None) if "patch_embed" in module._modules else None
        if isinstance(told, int) and not isinstance(told, bool) and told != sum(before.values()):
            before = {"prefix": told} if told else {}
        shuffled = callable(getattr(module, "random_masking", None))
        if before or after or shuffled:
            words = " and ".join(f"{count} {word}" for word, count in (before | after).items())
            around = name.rpartition(".")[0]
            found[around] = SpecialTokens(sum(before.values()), sum(after.values()), words, shuffled)
    return found


def _count(module: nn.Module, name: str) -> int:
    """Tokens in a parameter [K], [n, K] or [1, n, K]; 0 where there is none of that name."""
    value = module._parameters.get(name)
    if not isinstance(value, Tensor):
        return 0
    return 1 if value.ndim == 1 else int(value.shape[-2])
