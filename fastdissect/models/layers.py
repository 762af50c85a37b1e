"""Layer names: which there are, which a pattern means, and the module behind one.

Names are those of `named_modules()`, without what wrappers put in front (DataParallel's `module.`,
`torch.compile`'s `_orig_mod.`), so that a name holds for a network however it is wrapped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import nn

from fastdissect.errors import LayerError, nearest

__all__ = ["get_layer", "layer_names", "named_layers", "resolve_layer", "resolve_layers", "unwrap"]

# Attribute names that only wrappers use; left out wherever they stand in a name.
_WRAPPERS = frozenset({"_orig_mod", "_checkpoint_wrapped_module"})
_WILD = re.compile(r"[*?\[]")
_LISTED = 12  # names shown when nothing is near


def unwrap(module: nn.Module) -> nn.Module:
    """Return the network inside DataParallel, DistributedDataParallel, `torch.compile` and their like.

    `module` counts as a wrapper's attribute only where it is the only child and no parameter stands beside
    it: a network may have a child of that name among others.
    """
    while True:
        children = dict(module.named_children())
        inner = next((children[name] for name in _WRAPPERS if name in children), None)
        if inner is None and set(children) == {"module"} and not list(module.parameters(recurse=False)):
            inner = children["module"]
        if inner is None:
            return module
        module = inner


def _named(module: nn.Module) -> dict[str, nn.Module]:
    """Every name, aliases of a shared module included, in the order of `named_modules()`; no root."""
    names: dict[str, nn.Module] = {}
    for path, layer in unwrap(module).named_modules(remove_duplicate=False):
        name = ".".join(part for part in path.split(".") if part not in _WRAPPERS)
        if name:  # a wrapped layer and its wrapper share a name: the wrapper, which is what gets called
            names.setdefault(name, layer)
    return names


def layer_names(module: nn.Module) -> tuple[str, ...]:
    """All layer names in the order of `named_modules()`; a module with two names is listed by its first."""
    return tuple(named_layers(module))


def named_layers(module: nn.Module) -> dict[str, nn.Module]:
    """The same names with their modules."""
    names = _named(module)
    return {name: names[name] for name in _first_names(names)}


def get_layer(module: nn.Module, name: str) -> nn.Module:
    """Return the module of that name; a wrapper's prefix may be there or not.

    Raises:
        LayerError: no such layer; the message lists the nearest.

    >>> get_layer(nn.Sequential(nn.ReLU()), "0")
    ReLU()
    """
    names = _named(module)
    return names[_known(name, names)]


def resolve_layers(module: nn.Module, patterns: str | Iterable[str]) -> tuple[str, ...]:
    """Turn names and shell patterns into layer names, in the order of `named_modules()`, each once.

    Args:
        module: the network, wrapped or not.
        patterns: exact names, or patterns: `*` any characters but a dot, `**` any characters, `?` one
            character but a dot, `[ab]` and `[!ab]` sets. A single string is one pattern.

    A module that has two names appears once, under the first that was asked for.

    Raises:
        LayerError: nothing was asked for, a name is unknown or a pattern matches nothing.

    >>> net = nn.Sequential(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), nn.Flatten())
    >>> resolve_layers(net, ["*"]), resolve_layers(net, ["0.*"])
    (('0', '1'), ('0.0', '0.1'))
    """
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    names = _named(module)
    if not patterns:
        raise LayerError(f"layers: expected at least one layer name or pattern, got none{_some(names)}")
    wanted: set[str] = set()
    for pattern in patterns:
        if not pattern:
            raise LayerError(f"layers: expected a layer name or pattern, got {pattern!r}{_some(names)}")
        if pattern in names or not _WILD.search(pattern):
            wanted.add(_known(pattern, names))
            continue
        expression = _regex(pattern)
        matches = {name for name in names if expression.fullmatch(name)}
        if not matches:
            raise LayerError(f"layers: no layer matches the pattern {pattern!r}{_near(pattern, names)}")
        wanted |= matches
    return _first_names({name: layer for name, layer in names.items() if name in wanted})


def resolve_layer(module: nn.Module, pattern: str) -> str:
    """Turn a name, or a pattern that fits one layer, into that layer's name.

    Raises:
        LayerError: it fits none, or several.

    >>> resolve_layer(nn.Sequential(nn.ReLU()), "*")
    '0'
    """
    names = resolve_layers(module, pattern)
    if len(names) != 1:
        raise LayerError(
            f"layers: expected a pattern that fits one layer; {pattern!r} fits {', '.join(names)}"
        )
    return names[0]


def _first_names(names: dict[str, nn.Module]) -> tuple[str, ...]:
    first: dict[int, str] = {}
    for name, layer in names.items():
        first.setdefault(id(layer), name)
    return tuple(first.values())


def _known(name: str, names: dict[str, nn.Module]) -> str:
    if name in names:
        return name
    bare = ".".join(part for part in name.split(".") if part not in _WRAPPERS)
    for candidate in (bare, bare.removeprefix("module.")):
        if candidate in names:
            return candidate
    raise LayerError(f"unknown layer {name!r}{_near(name, names)}")


def _near(name: str, names: dict[str, nn.Module]) -> str:
    return nearest(name, names) or _some(names)


def _some(names: dict[str, nn.Module]) -> str:
    if not names:
        return "; the model has no named layers: wrap it in torch.nn.Sequential"
    more = f", ... ({len(names)} in all)" if len(names) > _LISTED else ""
    return f"; the model has {', '.join(list(names)[:_LISTED])}{more}"


def _regex(pattern: str) -> re.Pattern[str]:
    """Shell pattern to regular expression; a "[" that is never closed stands for itself."""
    parts = re.findall(r"\*\*|\*|\?|\[!?[^\]]+\]|.", pattern, flags=re.DOTALL)
    wild = {"**": ".*", "*": r"[^.]*", "?": r"[^.]"}
    try:
        return re.compile("".join(wild.get(part) or _set(part) for part in parts), flags=re.DOTALL)
    except re.error as error:
        raise LayerError(f"layers: expected a shell pattern, got {pattern!r}: {error}") from error


def _set(part: str) -> str:
    if len(part) < 3 or part[0] != "[":
        return re.escape(part)
    negated = part.startswith("[!") and len(part) > 3
    inside = re.sub(r"([^\w-])", r"\\\1", part[2 if negated else 1 : -1])
    return f"[^.{inside}]" if negated else f"[{inside}]"
