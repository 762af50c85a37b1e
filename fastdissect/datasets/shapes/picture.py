"""One image of `shapes`: what it shows, and which labels it keeps.

Like Broden, which joins data sets, the images are of several kinds, so that most lack some category and the rule
of METHODS (a unit's area counts only images that carry the category) has something to decide:

    scene    50 %   a scene with things in front     scene, object, part; surfaces in half of them
    thing    25 %   things on a plain ground         object, part; surfaces in half of them
    texture  23 %   a texture all over               texture (of the whole image), color
    bare      2 %   a scene                          no label at all

Surfaces are color and material on every pixel that has them, and texture on patterned things.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.shapes.canvas import Canvas
from fastdissect.datasets.shapes.draws import Draws
from fastdissect.datasets.shapes.fills import fill_material, fill_texture
from fastdissect.datasets.shapes.objects import OUTLINES
from fastdissect.datasets.shapes.scenes import paint_scene
from fastdissect.datasets.shapes.vocabulary import (
    CATEGORIES,
    COLORS,
    CONCEPTS,
    NUMBER,
    SCENES,
    SUBJECTS,
    TEXTURES,
)
from fastdissect.types import LabelChannel

__all__ = ["Picture", "Plan", "draw_picture", "plan_picture"]

_ALL = (slice(None), slice(None))
_BROWN = COLORS.index("brown")
# Wood is brown and crowns are green whatever is drawn: neither would show on such a ground.
_GROUNDS = tuple(index for index, name in enumerate(COLORS) if name not in ("brown", "green"))


class Plan(NamedTuple):
    """What an image shows; drawn before anything is painted."""

    kind: str  # "scene", "thing", "texture" or "bare"
    subject: str  # the largest thing, or the texture
    scene: str | None
    surfaces: bool  # whether color, material and texture of things are labelled


class Picture(NamedTuple):
    """An image, the labels it carries, and everything that is to be seen in it."""

    pixels: NDArray[np.uint8]  # [size, size, 3]
    channels: tuple[LabelChannel, ...]  # uint16 [size, size], or a number for the whole image
    shown: NDArray[np.bool_]  # [concepts], whether at least one pixel shows the concept, labelled or not


def plan_picture(draws: Draws) -> Plan:
    """Draw the plan; the first thing that is taken from an image's stream."""
    kind = ("scene",) * 50 + ("thing",) * 25 + ("texture",) * 23 + ("bare",) * 2
    chosen = draws.choice(kind)
    if chosen == "texture":
        return Plan(chosen, draws.choice(TEXTURES), None, True)
    scene = None if chosen == "thing" else draws.choice(SCENES)
    return Plan(chosen, draws.choice(SUBJECTS), scene, draws.chance(0.5))


def draw_picture(seed: int, index: int, size: int) -> Picture:
    """Paint image `index` of the set with this seed, `size` pixels a side."""
    draws = Draws(seed, index)
    plan = plan_picture(draws)
    canvas = Canvas(size)
    if plan.kind == "texture":
        _paint_texture(canvas, plan.subject, draws)
    else:
        if plan.scene is not None:
            paint_scene(canvas, plan.scene, draws)
        else:
            canvas.paint(_ALL, np.ones((size, size), dtype=np.bool_), draws.choice(_GROUNDS))
        for _ in range(draws.below(4)):
            _paint_thing(canvas, draws.choice(SUBJECTS), draws, (0.08, 0.15))
        _paint_thing(canvas, plan.subject, draws, (0.2, 0.34))
    colour = canvas.colour_labels()
    return Picture(canvas.pixels(draws), _channels(canvas, plan, colour), _shown(canvas, plan, colour))


def _paint_texture(canvas: Canvas, name: str, draws: Draws) -> None:
    angle, period = draws.uniform(0, math.pi), draws.uniform(0.08, 0.18)
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    x, y = cos * canvas.x + sin * canvas.y, cos * canvas.y - sin * canvas.x
    first = draws.below(len(COLORS))
    second = (first + 1 + draws.below(len(COLORS) - 1)) % len(COLORS)
    colour, shade = fill_texture(name, x, y, (first, second), period, draws)
    canvas.paint(_ALL, np.ones((canvas.size, canvas.size), dtype=np.bool_), colour, shade)


def _paint_thing(canvas: Canvas, name: str, draws: Draws, radii: tuple[float, float]) -> None:
    pieces = OUTLINES[name]
    radius = draws.uniform(*radii)
    x0, y0 = draws.uniform(radius, 1 - radius), draws.uniform(radius, 1 - radius)
    # Things without parts may be turned any way; a house stands upright.
    angle = draws.uniform(-math.pi, math.pi) if len(pieces) == 1 else draws.uniform(-0.15, 0.15)
    box = canvas.box(x0, y0, radius * 1.45)
    dx, dy = canvas.x[:, box[1]] - np.float32(x0), canvas.y[box[0]] - np.float32(y0)
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    along, down = cos * dx + sin * dy, cos * dy - sin * dx
    x, y = along / np.float32(radius), down / np.float32(radius)
    # Colours that the ground around the thing lacks, as far as there are any.
    ground = set(np.unique(canvas.colour[box]).tolist())
    free = [c for c in range(len(COLORS)) if c not in ground] or list(range(len(COLORS)))
    main = draws.choice(free)
    second = draws.choice([c for c in free if c != main] or free)
    for number, piece in enumerate(pieces):
        mask = piece.outline(x, y)
        labels = {"object": name}
        if piece.part is not None:
            labels["nested_part" if piece.nested else "part"] = piece.part
        paints = {"main": main, "second": second}
        paint = paints[piece.paint] if piece.paint in paints else COLORS.index(piece.paint)
        if number == 0 and len(pieces) == 1 and draws.chance(0.4):
            texture = draws.choice(TEXTURES)
            labels["texture"] = texture
            fill = fill_texture(texture, along, down, (paint, second), draws.uniform(0.05, 0.09), draws)
        elif piece.materials:
            seen = tuple(m for m in piece.materials if m != "wood" or _BROWN not in ground)
            labels["material"] = draws.choice(seen or piece.materials)
            fill = fill_material(labels["material"], along, down, paint, draws)
        else:
            fill = paint, 1.0
        _cover(canvas, box, mask, piece.nested)
        canvas.paint(box, mask, *fill, **labels)


def _cover(canvas: Canvas, box: tuple[slice, slice], mask: NDArray[np.bool_], nested: bool) -> None:
    """Clear what lies behind a piece; behind a nested one the part around it keeps its label."""
    for layer, labels in canvas.labels.items():
        if not (nested and layer == "part"):
            np.copyto(labels[box], np.uint16(0), where=mask)


def _channels(canvas: Canvas, plan: Plan, colour: NDArray[np.uint16]) -> tuple[LabelChannel, ...]:
    if plan.kind == "bare":
        return ()
    found: dict[str, list[NDArray[np.uint16] | int]] = {category: [] for category in CATEGORIES}
    if plan.surfaces:
        found["color"].append(colour)
        found["material"].append(canvas.labels["material"])
        found["texture"].append(canvas.labels["texture"])
    if plan.kind == "texture":
        found["texture"].insert(0, NUMBER[plan.subject])
    if plan.scene is not None:
        found["scene"].append(NUMBER[f"{plan.scene}-s"])
    found["object"].append(canvas.labels["object"])
    found["part"] += [canvas.labels["part"], canvas.labels["nested part"]]
    return tuple(
        LabelChannel(number, labels)
        for number, category in enumerate(CATEGORIES)
        for labels in found[category]
        if isinstance(labels, int) or labels.any()
    )


def _shown(canvas: Canvas, plan: Plan, colour: NDArray[np.uint16]) -> NDArray[np.bool_]:
    numbers = [np.unique(layer) for layer in (*canvas.labels.values(), colour)]
    named = [f"{plan.scene}-s"] if plan.scene is not None else []
    named += [plan.subject] if plan.kind == "texture" else []
    numbers.append(np.array([NUMBER[name] for name in named], dtype=np.uint16))
    return np.isin(CONCEPTS.numbers, np.concatenate(numbers))
