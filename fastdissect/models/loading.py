"""From a name to a network in eval mode, with its preprocessing and a digest of its weights."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from torch import nn

from fastdissect.errors import ModelError, nearest
from fastdissect.models.checkpoints import load_checkpoint
from fastdissect.models.code_models import load_from_code
from fastdissect.models.digest import weights_digest
from fastdissect.models.image_models import load_timm, load_torchvision
from fastdissect.models.layers import unwrap
from fastdissect.models.preprocessing import Preprocessing, find_preprocessing
from fastdissect.models.shapes import load_shapes
from fastdissect.models.transformers_models import load_transformers

__all__ = ["LoadedModel", "load_model"]

_FORMS = (
    "builtin:shapes",
    "builtin:shapes-random",
    "path/to/file.py:function",
    "package.module:callable",
    "transformers:ID_OR_PATH",
    "torchvision:NAME",
    "timm:NAME",
)
_PREFIXES = ("builtin", "torchvision", "timm", "transformers")


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A network that is ready to run: eval mode, wrappers taken off."""

    name: str
    module: nn.Module
    preprocessing: Preprocessing
    weights_digest: str  # blake2b, 16 bytes, hex


def load_model(
    spec: str | nn.Module,
    *,
    preprocessing: Preprocessing | None = None,
    seed: int = 0,
    download: bool = False,
) -> LoadedModel:
    """Load a network by name, or take one that exists.

    Args:
        spec: an `nn.Module` (it is put into eval mode), or one of

            builtin:shapes, builtin:shapes-random     the built-in network, trained or random
            path/to/file.py:function                  a function without arguments that returns the network
            package.module:callable                   the same, importable
            transformers:ID_OR_PATH                   a folder, or an id that is in the library's cache
            torchvision:NAME, timm:NAME               pretrained weights from the library's cache, or
                                                      NAME?weights=none (random)
            any of these and ?weights=FILE            the network with a checkpoint's weights (`read_checkpoint`)
        preprocessing: instead of what the model states.
        seed: for random weights.
        download: let the library download what is not in its cache.

    Raises:
        ModelError: unknown name, missing or broken library, weights not in the cache, code that fails, a checkpoint
            that is not this network's.

    >>> load_model(nn.Conv2d(3, 8, 3)).name
    'Conv2d'
    """
    if isinstance(spec, nn.Module):
        name, module, stated = type(unwrap(spec)).__name__, unwrap(spec), None
    elif isinstance(spec, str):
        name = spec
        module, stated = _from_name(spec.strip(), seed, download)
        module = unwrap(module)
    else:
        raise ModelError(f"model: expected an nn.Module or a name, got {type(spec).__name__}; {_forms()}")
    module.eval()
    return LoadedModel(
        name, module, preprocessing or stated or find_preprocessing(module), weights_digest(module)
    )


def _from_name(spec: str, seed: int, download: bool) -> tuple[nn.Module, Preprocessing | None]:
    name, wanted = _weights(spec)
    prefix, _, rest = name.partition(":")
    if prefix in ("torchvision", "timm"):
        load = load_torchvision if prefix == "torchvision" else load_timm
        return load(_stated(rest, spec), {} if wanted is None else {"weights": wanted}, seed, download)
    module, preprocessing = _built(name, spec, seed, download, wanted is not None)
    if wanted is not None:
        try:
            load_checkpoint(module, wanted)
        except ModelError as error:
            raise ModelError(f"{name}: {error}") from error
    return module, preprocessing


def _built(
    name: str, spec: str, seed: int, download: bool, changed: bool
) -> tuple[nn.Module, Preprocessing | None]:
    """The network as its builder gives it; `changed`: its weights will be written to."""
    prefix, _, rest = name.partition(":")
    if prefix not in _PREFIXES:
        return _from_code(name, seed, changed)
    _stated(rest, spec)
    if prefix == "transformers":
        return load_transformers(rest, download)
    builtin = {"shapes": False, "shapes-random": True}
    if rest not in builtin:
        raise ModelError(f"unknown model {spec!r}{nearest(rest, builtin)}; {_forms()}")
    return load_shapes(random=builtin[rest], seed=seed), None


def _stated(rest: str, spec: str) -> str:
    if not rest:
        raise ModelError(f"model {spec!r}: expected a name after the colon; {_forms()}")
    return rest


def _from_code(spec: str, seed: int, changed: bool) -> tuple[nn.Module, Preprocessing | None]:
    source, _, name = spec.rpartition(":")
    known = (
        source.endswith(".py") or "." in source or (source.isidentifier() and find_spec(source) is not None)
    )
    if not known:
        near = nearest(f"{source}:", [f"{p}:" for p in _PREFIXES]) if source else nearest(name, _FORMS)
        raise ModelError(f"unknown model {spec!r}{near}; {_forms()}")
    return load_from_code(spec, seed, own=changed)


def _weights(spec: str) -> tuple[str, str | None]:
    """Split "NAME?weights=VALUE"; the value stands as it is, whatever characters a file's name has."""
    name, mark, value = spec.partition("?weights=")
    _, unknown, option = name.rpartition(":")[2].partition("?")
    if unknown or (mark and not value):
        raise ModelError(
            f"model {spec!r}: expected '?weights=...' after the name, got '?{option or 'weights='}'"
        )
    return name, value if mark else None


def _forms() -> str:
    return f"a model is an nn.Module or one of {', '.join(_FORMS)}"
