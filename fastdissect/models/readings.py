"""A layer's reading: how its output becomes a map, found once (`observing`) and used for every batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from fastdissect.errors import LayerError
from fastdissect.models.outputs import MapView, TokenGrid, as_map
from fastdissect.models.shifted_windows import ShiftedWindows

__all__ = ["Axes", "Reading", "Readings"]

Axes = Literal["NCHW", "NHWC", "NTC", "NK", "windows"]


@dataclass(frozen=True)
class Reading:
    """How the output of one layer lies, for one size of the network's input.

    `shape` is the output's without the batch. Tokens are `prefix` tokens that are no place, then the grid, then
    whatever else is no place; `why` says in words what the reading rests on.
    """

    axes: Axes
    shape: tuple[int, ...]
    why: str = ""
    prefix: int = 0
    grid: tuple[int, int] | None = None
    windows: ShiftedWindows | None = None

    @property
    def cells(self) -> tuple[int, int]:
        """Height and width of the map."""
        if self.grid is not None:
            return self.grid
        if self.axes == "NK":
            return 1, 1
        first = 1 if self.axes == "NCHW" else 0
        return self.shape[first], self.shape[first + 1]

    @property
    def units(self) -> int:
        return self.shape[0] if self.axes in ("NCHW", "NK") else self.shape[-1]

    @property
    def in_place(self) -> bool:
        """Whether the map is a view of the output; windows are put back in a copy."""
        return self.axes != "windows"

    def view(self, tensor: Tensor, layer_name: str, images: int) -> MapView:
        """The map [images, units, height, width] of an output, and how it was read.

        Raises:
            LayerError: the output has another shape than the one that was read.
            ActivationError: no float32, float16 or bfloat16.
        """
        if self.windows is not None and tuple(tensor.shape[1:]) == self.shape:
            if self.windows.fit(tuple(tensor.shape), images):
                cells = self.windows.cells_of(tensor, images)
                return MapView(as_map(cells, layer_name, "NCHW").map, self.explanation)
        elif tuple(tensor.shape) == (images, *self.shape):
            if self.axes != "NTC":
                layout = "auto" if self.axes == "NK" else self.axes
                return MapView(as_map(tensor, layer_name, layout).map, self.explanation)  # type: ignore[arg-type]
            assert self.grid is not None
            height, width = self.grid
            tokens = tensor[:, self.prefix : self.prefix + height * width]
            whole = TokenGrid(0, self.grid)
            return MapView(as_map(tokens, layer_name, "NTC", whole).map, self.explanation)
        raise LayerError(
            f"layer {layer_name!r}: expected an output {['N', *self.shape]} as for the first image, got "
            f"{list(tensor.shape)} for {images} images; dissect another layer"
        )

    def put_back(self, tensor: Tensor, maps: Tensor, layer_name: str) -> None:
        """Write a map back to where its cells lie in an output of the layer; all else keeps its values."""
        if self.windows is not None:
            self.windows.put_back(tensor, maps)
        else:
            self.view(tensor, layer_name, len(tensor)).map.copy_(maps)

    @property
    def explanation(self) -> str:
        """In words, for run.json and `fastdissect layers`."""
        why = f" ({self.why})" if self.why else ""
        if self.axes == "NK":
            return f"vector [N, K]: a 1x1 map{why}"
        if self.axes in ("NCHW", "NHWC"):
            return f"map {'[N, K, h, w]' if self.axes == 'NCHW' else '[N, h, w, K]'}{why}"
        height, width = self.cells
        if self.windows is not None:
            (rows, columns), shift = self.windows.window, self.windows.shift
            moved = f" shifted by {shift[0]} x {shift[1]}" if any(shift) else ""
            return (
                f"windows [N * windows, T, K] of {rows} x {columns} tokens{moved}, put back in a copy: "
                f"{height} x {width} grid{why}"
            )
        after = self.shape[0] - self.prefix - height * width
        out = [f"{self.prefix} prefix token{'s' * (self.prefix != 1)}"] if self.prefix else []
        out += [f"{after} token{'s' * (after != 1)} at the end"] if after else []
        left_out = f"{' and '.join(out)} left out, " if out else ""
        return f"tokens [N, T, K]: {left_out}{height} x {width} grid{why}"


@dataclass(frozen=True)
class Readings:
    """What a forward pass showed: {layer: its reading, or why it has none, one a call}, in the order of calls."""

    calls: dict[str, tuple[Reading | LayerError, ...]]

    def of(self, layer_name: str) -> Reading:
        """The reading of a layer.

        Raises:
            LayerError: it was not called, or its output is no map; the message says what would fit.
        """
        found = self.calls.get(layer_name)
        if not found:
            raise LayerError(
                f"layer {layer_name!r}: expected one call a forward pass; got none; is it used in eval mode? "
                "`fastdissect layers` lists the layers that are"
            )
        if isinstance(found[0], LayerError):
            raise found[0]
        return found[0]
