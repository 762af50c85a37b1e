"""Backgrounds: what stands behind the things, labelled as objects, and the scene that they make.

beach   sky, sea, sand      street   sky, building, road      desert     sky, sand
sea     sky, sea            night    sky, building, grass     mountain   sky, mountain, grass
meadow  sky, grass          room     wall, window, floor
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.shapes.canvas import Canvas, Colour, Mask, Shade
from fastdissect.datasets.shapes.draws import Draws
from fastdissect.datasets.shapes.fills import fill_material
from fastdissect.datasets.shapes.vocabulary import COLORS, SCENES

__all__ = ["paint_scene"]

_ALL = (slice(None), slice(None))
_C = {name: index for index, name in enumerate(COLORS)}


def _band(
    canvas: Canvas, name: str, top: float, bottom: float, colour: Colour, shade: Shade, **more: str
) -> None:
    rows = slice(round(top * canvas.size), round(bottom * canvas.size))

    def part(values: Colour | Shade) -> Colour | Shade:
        return values[rows] if isinstance(values, np.ndarray) else values

    mask = np.ones((canvas.size, canvas.size), dtype=np.bool_)[rows]
    canvas.paint((rows, slice(None)), mask, part(colour), part(shade), object=name, **more)  # type: ignore[arg-type]


def _speckle(canvas: Canvas, draws: Draws, strength: float) -> NDArray[np.float32]:
    grains = draws.bytes(canvas.size * canvas.size).reshape(canvas.size, canvas.size)
    return 1 + np.float32(strength) * (grains.astype(np.float32) / np.float32(127.5) - 1)


def _sky(canvas: Canvas, draws: Draws, horizon: float, colour: str) -> None:
    shade = np.broadcast_to(1 + np.float32(0.25) * (canvas.y - np.float32(0.3)), (canvas.size, canvas.size))
    _band(canvas, "sky", 0, horizon, _C[colour], shade)
    if colour != "blue":
        return
    for _ in range(draws.below(3)):
        x, y, width = draws.uniform(), draws.uniform(0.05, horizon * 0.7), draws.uniform(0.08, 0.16)
        cloud = np.square((canvas.x - np.float32(x)) / np.float32(width))
        cloud = cloud + np.square((canvas.y - np.float32(y)) / np.float32(width / 3)) < 1
        canvas.paint(_ALL, cloud, _C["white"])  # part of the sky


def _sea(canvas: Canvas, draws: Draws, top: float, bottom: float) -> None:
    bend = np.float32(0.012) * np.sin(canvas.x * np.float32(draws.uniform(18, 30)))
    waves = np.sin((canvas.y + bend) * np.float32(draws.uniform(110, 150)))
    _band(canvas, "sea", top, bottom, _C["blue"], np.float32(0.78) + np.float32(0.2) * waves)


def _grass(canvas: Canvas, draws: Draws, top: float) -> None:
    blades = _speckle(canvas, draws, 0.3)
    blades[1::2] = blades[: 2 * (canvas.size // 2) : 2]  # upright: pairs of pixels share their shade
    _band(canvas, "grass", top, 1, _C["green"], blades)


def _buildings(canvas: Canvas, draws: Draws, base: float, lit: bool) -> None:
    left = draws.uniform(-0.1, 0)
    while left < 1:
        right, top = left + draws.uniform(0.16, 0.3), draws.uniform(0.08, base - 0.15)
        colour = _C[
            draws.choice(("grey", "brown", "red", "purple", "black") if not lit else ("grey", "purple"))
        ]
        mask = (canvas.x >= left) & (canvas.x < right) & (canvas.y >= top) & (canvas.y < base)
        canvas.paint(_ALL, mask, colour, 0.9, object="building")
        pitch = np.float32(draws.uniform(0.05, 0.07))
        across, down = (canvas.x - np.float32(left)) / pitch, (canvas.y - np.float32(top)) / pitch
        panes = (across - np.floor(across) > np.float32(0.5)) & (down - np.floor(down) > np.float32(0.5))
        canvas.paint(_ALL, mask & panes, _C["yellow" if lit else "white"])
        left = right


def _beach(canvas: Canvas, draws: Draws, horizon: float) -> None:
    shore = horizon + draws.uniform(0.12, 0.22)
    _sky(canvas, draws, horizon, "blue")
    _sea(canvas, draws, horizon, shore)
    _band(canvas, "sand", shore, 1, _C["yellow"], _speckle(canvas, draws, 0.12))


def _open_sea(canvas: Canvas, draws: Draws, horizon: float) -> None:
    _sky(canvas, draws, horizon, draws.choice(("blue", "grey", "pink")))
    _sea(canvas, draws, horizon, 1)


def _meadow(canvas: Canvas, draws: Draws, horizon: float) -> None:
    _sky(canvas, draws, horizon, "blue")
    _grass(canvas, draws, horizon)


def _street(canvas: Canvas, draws: Draws, horizon: float) -> None:
    kerb = horizon + 0.12
    _sky(canvas, draws, kerb, draws.choice(("blue", "grey")))
    _buildings(canvas, draws, kerb, lit=False)
    _band(canvas, "road", kerb, 1, _C["grey"], _speckle(canvas, draws, 0.08) * np.float32(0.72))
    middle = (kerb + 1) / 2
    dashes = (np.abs(canvas.y - np.float32(middle)) < np.float32(0.02)) & (canvas.x * 5 % 1 < np.float32(0.6))
    canvas.paint(_ALL, dashes, _C["white"])


def _room(canvas: Canvas, draws: Draws, horizon: float) -> None:
    skirting = horizon + 0.15
    material = draws.choice(("painted", "painted", "brick"))
    paint = _C[draws.choice(("pink", "white", "yellow", "orange", "red"))]
    x, y = np.broadcast_arrays(canvas.x, canvas.y)
    _band(canvas, "wall", 0, skirting, *fill_material(material, x, y, paint, draws), material=material)
    left, top = draws.uniform(0.05, 0.55), draws.uniform(0.05, 0.1)
    # Large enough that "window" is an object first, for all the windows of houses and cars.
    right, bottom = left + draws.uniform(0.34, 0.42), top + draws.uniform(0.28, horizon)
    pane: Mask = (canvas.x >= left) & (canvas.x < right) & (canvas.y >= top) & (canvas.y < bottom)
    canvas.cover(_ALL, pane)
    canvas.paint(_ALL, pane, _C["blue"], 1.2, object="window")
    bar = np.abs(canvas.x - np.float32((left + right) / 2)) < np.float32(0.012)
    bar = bar | (np.abs(canvas.y - np.float32((top + bottom) / 2)) < np.float32(0.012))
    canvas.paint(_ALL, pane & bar, _C["white"])
    _band(canvas, "floor", skirting, 1, *fill_material("wood", x, y, 0, draws), material="wood")


def _night(canvas: Canvas, draws: Draws, horizon: float) -> None:
    _sky(canvas, draws, 1, "black")
    stars = draws.bytes(canvas.size * canvas.size).reshape(canvas.size, canvas.size) == 0
    canvas.paint(_ALL, stars, _C["white"])
    _buildings(canvas, draws, horizon + 0.15, lit=True)
    _grass(canvas, draws, horizon + 0.15)


def _desert(canvas: Canvas, draws: Draws, horizon: float) -> None:
    _sky(canvas, draws, horizon, draws.choice(("blue", "orange")))
    dunes = np.sin(canvas.x * np.float32(draws.uniform(5, 9)) + canvas.y * np.float32(draws.uniform(30, 45)))
    _band(canvas, "sand", horizon, 1, _C["yellow"], np.float32(0.92) + np.float32(0.12) * dunes)


def _mountain(canvas: Canvas, draws: Draws, horizon: float) -> None:
    foot = horizon + 0.12
    _sky(canvas, draws, foot, draws.choice(("blue", "white", "pink")))
    rough = _speckle(canvas, draws, 0.15)
    for _ in range(2 + draws.below(2)):
        x, top, slope = draws.uniform(), draws.uniform(0.08, 0.3), draws.uniform(0.6, 1.2)
        peak = np.abs(canvas.x - np.float32(x)) * np.float32(1 / slope) + np.float32(top)
        mask = (canvas.y >= peak) & (canvas.y < foot)
        canvas.paint(_ALL, mask, _C["grey"], rough, object="mountain")
        canvas.paint(_ALL, mask & (canvas.y < np.float32(top + 0.1)), _C["white"])
    _grass(canvas, draws, foot)


_SCENES: dict[str, Callable[[Canvas, Draws, float], None]] = dict(
    zip(SCENES, (_beach, _open_sea, _meadow, _street, _room, _night, _desert, _mountain), strict=True)
)


def paint_scene(canvas: Canvas, name: str, draws: Draws) -> None:
    """Paint a whole background with its object labels (and materials, in a room)."""
    _SCENES[name](canvas, draws, draws.uniform(0.32, 0.5))
