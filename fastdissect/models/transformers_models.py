"""Models from transformers: folders and cached ids, imported only when one is asked for."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fastdissect.errors import ModelError
from fastdissect.models.libraries import advising, import_library
from fastdissect.models.preprocessing import Preprocessing, from_processor_file

__all__ = ["load_transformers"]


def load_transformers(name: str, download: bool) -> tuple[nn.Module, Preprocessing | None]:
    """Load "transformers:ID_OR_PATH": the class that the config names, as float32; of a model of images
    and text the part that sees images. For other input sizes than its own its position embeddings are interpolated,
    where the class offers that.

    Raises:
        ModelError: the library is missing or broken, or the folder or cache has no such model.
    """
    spec = f"transformers:{name}"
    transformers = import_library("transformers", spec)
    local = {"local_files_only": not download}
    with advising("transformers", spec):
        try:
            config = transformers.AutoConfig.from_pretrained(name, **local)
            named = (config.architectures or ["AutoModel"])[0]
            module = getattr(transformers, named, transformers.AutoModel).from_pretrained(name, **local)
        except (OSError, ValueError) as error:  # no such folder, id, file or kind of model
            reason = str(error).strip().split("\n")[0]
            advice = (
                "" if download else "; only local files are used: give a folder, or load with download=True"
            )
            raise ModelError(
                f"{spec}: expected a model's folder or a cached one, got: {reason}{advice}"
            ) from error
    if not _sees_images(module):
        if not _sees_images(getattr(module, "vision_model", None)):
            raise ModelError(
                f"{spec}: expected a network whose input is pixel_values, got {type(module).__name__}"
            )
        module = module.vision_model
    _interpolate_positions(module)
    try:
        file = transformers.utils.cached_file(name, "preprocessor_config.json", **local)
    except OSError:
        file = None
    return module.float(), None if file is None else from_processor_file(Path(file))


def _sees_images(module: Any) -> bool:
    return (
        module is not None and next(iter(inspect.signature(module.forward).parameters), "") == "pixel_values"
    )


def _interpolate_positions(module: nn.Module) -> None:
    """Ask for interpolated position embeddings where the input is not of the size that the model was made for."""
    size = getattr(getattr(module, "config", None), "image_size", None)
    made_for = tuple(size) if isinstance(size, list | tuple) else (size, size)
    if "interpolate_pos_encoding" not in inspect.signature(module.forward).parameters:
        return

    def ask(_module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        images = arguments[0] if arguments else named.get("pixel_values")
        if isinstance(images, Tensor) and tuple(images.shape[-2:]) != made_for:
            named.setdefault("interpolate_pos_encoding", True)
        return arguments, named

    module.register_forward_pre_hook(ask, with_kwargs=True)
