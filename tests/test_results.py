from __future__ import annotations

import dataclasses
import math
from html.parser import HTMLParser

import numpy as np
import pytest
from report_cases import Photos, make_dissection, plant

from fastdissect.conventions import PROFILES, profile
from fastdissect.errors import LayerError, SettingError
from fastdissect.kernels.keys import keys
from fastdissect.kernels.reference import Reference
from fastdissect.labels import label_units
from fastdissect.results import Dissection, LayerDissection
from fastdissect.top_images import top_images
from fastdissect.types import ActivationView, AxisTable, Concepts, Counts, Upsampling
from fastdissect.upsampling import AxisField, make_upsampling

IMAGES, UNITS = 6, 5


def canonical(dense: np.ndarray, thresholds: np.ndarray, upsampling: Upsampling):
    """Exactly the cells within reach of a cell above T, and each image's means and maxima."""
    view = ActivationView(dense, "float32")
    return Reference().sift(view, keys(thresholds), upsampling.reach, upsampling.ring, False, 1)


def layer(seed: int = 0, name: str = "layer4", cells=(3, 4), size=(9, 10), **changes) -> LayerDissection:
    rng = np.random.default_rng(seed)
    dense = rng.standard_normal((IMAGES, UNITS, *cells)).astype(np.float32)
    thresholds = np.sort(dense.transpose(1, 0, 2, 3).reshape(UNITS, -1), axis=1)[:, -6]
    upsampling = make_upsampling("half-pixel", cells, size)
    sifted = canonical(dense, thresholds, upsampling)
    concepts = Concepts(np.array([2, 3, 7]), ("cat", "sky", "fur"), np.array([0, 1, 0]), ("object", "scene"))
    intersection = rng.integers(0, 30, (UNITS, 3))
    intersection[0] = 0
    items = {
        "name": name,
        "profile": PROFILES["netdissect"],
        "concepts": concepts,
        "shape": dense.shape,
        "thresholds": thresholds,
        "seen": np.full(UNITS, IMAGES * math.prod(cells)),
        "counts": Counts(
            intersection,
            rng.integers(60, 90, (UNITS, 2)),
            rng.integers(30, 200, 3),
            rng.integers(90, 99, UNITS),
        ),
        "upsampling": upsampling,
        "activations": sifted.cells,
        "means": sifted.means,
        "maxima": sifted.maxima,
    }
    return LayerDissection(**{**items, **changes})


def dissection(*layers: LayerDissection, **run) -> Dissection:
    first = layers[0]
    names = tuple(f"images/{i}.png" for i in range(IMAGES))
    return Dissection({one.name: one for one in layers}, first.profile, first.concepts, names, run)


# --- masks ---


def pixel(cells: list[np.float32], weights: np.ndarray, lerp: bool) -> np.float32:
    if lerp:
        a, b = cells
        return np.float32(a + np.float32(np.float32(b - a) * weights[1]))
    total = np.float32(cells[0] * weights[0])
    for cell, weight in zip(cells[1:], weights[1:], strict=True):
        total = np.float32(total + np.float32(cell * weight))
    return total


def taps(table: AxisTable, i: int, cells: int) -> list[int]:
    return [min(int(table.start[i]) + t, cells - 1) for t in range(table.taps)]


def brute_mask(dense: np.ndarray, threshold: np.float32, up: Upsampling) -> np.ndarray:
    """A pixel at a time, from the dense map, in the arithmetic of DESIGN section 3."""
    if up.ring:
        dense = np.pad(dense, 1)
    h, w = dense.shape
    mask = np.zeros(up.size, bool)
    for y in range(up.size[0]):
        for x in range(up.size[1]):
            ys, xs = taps(up.rows, y, h), taps(up.columns, x, w)
            columns = [pixel([dense[r, c] for r in ys], up.rows.weights[y], up.rows.lerp) for c in xs]
            value = pixel(columns, up.columns.weights[x], up.columns.lerp)
            mask[y, x] = value > threshold and any(dense[r, c] > threshold for r in ys for c in xs)
    return mask


FIELDS = (AxisField(-6, 13, 8), AxisField(-6, 13, 8))
TABLES = {
    "half-pixel": make_upsampling("half-pixel", (3, 4), (9, 10)),
    "a larger map": make_upsampling("half-pixel", (9, 8), (4, 3)),
    "one cell": make_upsampling("half-pixel", (1, 1), (5, 4)),
    "ring": make_upsampling("half-pixel-zero", (3, 4), (8, 8)),
    "pil": make_upsampling("pil", (3, 4), (9, 10)),
    "pil shrinking": make_upsampling("pil", (9, 8), (4, 3)),
    "receptive field": make_upsampling(
        "receptive-field", (3, 4), (12, 16), fields=FIELDS, input_size=(24, 32), layer="x"
    ),
}


@pytest.mark.parametrize("tail", ["none", "rare", "half"])
@pytest.mark.parametrize("table", TABLES)
def test_a_mask_from_sparse_activations_equals_the_dense_one(table, tail):
    up = TABLES[table]
    rng = np.random.default_rng(7)
    dense = rng.standard_normal((IMAGES, UNITS, *up.cells)).astype(np.float32)
    flat = np.sort(dense.transpose(1, 0, 2, 3).reshape(UNITS, -1), axis=1)
    thresholds = flat[
        :, -{"none": 1, "rare": 4, "half": flat.shape[1] // 2}[tail]
    ]  # often below 0, where dissect's ring of zeros counts as above
    found = layer(
        cells=up.cells,
        upsampling=up,
        shape=dense.shape,
        thresholds=thresholds,
        activations=canonical(dense, thresholds, up).cells,
    )
    shown = 0
    for unit in range(UNITS):
        for image in range(IMAGES):
            mask = found.unit_mask(unit, image)
            assert mask.dtype == bool
            assert (mask == brute_mask(dense[image, unit], thresholds[unit], up)).all()
            shown += int(mask.sum())
    if tail != "rare":
        assert (shown > 0) == (tail == "half")  # the maximum is above nothing


def test_a_mask_at_another_size_is_half_pixel():
    up = TABLES["ring"]
    rng = np.random.default_rng(3)
    dense = rng.standard_normal((IMAGES, UNITS, 3, 4)).astype(np.float32)
    thresholds = np.full(UNITS, 0.5, np.float32)
    found = layer(upsampling=up, thresholds=thresholds, activations=canonical(dense, thresholds, up).cells)
    other = make_upsampling("half-pixel", (3, 4), (30, 20))
    for unit in range(UNITS):
        mask = found.unit_mask(unit, 2, size=(30, 20))
        assert (mask == brute_mask(dense[2, unit], thresholds[unit], other)).all()
    assert found.unit_mask(0, 0, size=up.size).shape == up.size
    assert (found.unit_mask(0, 0, size=up.size) == found.unit_mask(0, 0)).all()


def test_bfloat16_cells_are_widened_exactly():
    dense = np.zeros((1, 1, 2, 2), np.float32)
    dense[0, 0] = [[1.5, -2], [0.25, 3]]
    bits = (dense.view(np.uint32) >> 16).astype(np.uint16)
    up = make_upsampling("half-pixel", (2, 2), (6, 6))
    sifted = Reference().sift(
        ActivationView(bits, "bfloat16"), keys(np.array([0.5], np.float32)), 1, False, False, 1
    )
    found = layer(
        shape=(1, 1, 2, 2),
        upsampling=up,
        thresholds=np.array([0.5], np.float32),
        seen=np.array([4]),
        counts=Counts(np.zeros((1, 3), int), np.zeros((1, 2), int), np.zeros(3, int), np.zeros(1, int)),
        activations=sifted.cells,
        means=None,
        maxima=None,
    )
    mask = found.unit_mask(0, 0)
    assert (mask == brute_mask(dense[0, 0], np.float32(0.5), up)).all()
    assert 0 < mask.sum() < mask.size


@pytest.mark.parametrize(("unit", "image"), [(UNITS, 0), (-1, 0), (0, IMAGES), (0, -1)])
def test_a_mask_of_nothing_is_refused(unit, image):
    with pytest.raises(SettingError, match=f"0 to {UNITS - 1}" if image == 0 else f"0 to {IMAGES - 1}"):
        layer().unit_mask(unit, image)


@pytest.mark.parametrize(("left_out", "call"), [("activations", "unit_mask"), ("maxima", "top_images")])
def test_what_the_run_did_not_keep_is_said(left_out, call):
    with pytest.raises(SettingError, match=f"needs the {left_out}"):
        getattr(layer(**{left_out: None}), call)(*([0, 0] if call == "unit_mask" else [1]))


# --- top images ---


@pytest.mark.parametrize("count", [1, 3, 29, 30, 31])
def test_top_images_equal_a_stable_sort(count, monkeypatch):
    monkeypatch.setattr("fastdissect.top_images._BLOCK", 100)  # three units at a time
    rng = np.random.default_rng(count)
    maxima = rng.choice(np.array([-1, -0.0, 0.0, 0.5, 2, np.inf, -np.inf, np.nan], np.float32), (30, 7))
    got = top_images(maxima, count)
    assert got.dtype == np.int64
    for unit in range(7):
        values = [-math.inf if math.isnan(v) else v for v in maxima[:, unit].tolist()]
        order = sorted(range(30), key=lambda i: (math.isnan(maxima[i, unit]), -values[i], i))
        assert got[unit].tolist() == order[:count]


def test_top_images_of_nothing():
    with pytest.raises(SettingError, match="at least 1"):
        layer().top_images(0)
    assert top_images(np.zeros((0, 4), np.float32), 5).shape == (4, 0)
    assert layer().top_images(100).shape == (UNITS, IMAGES)


# --- tables ---


def test_units_says_what_the_arrays_say():
    found = layer()
    table = found.units()
    assert list(table.columns) == [
        *("unit", "label", "category", "iou", "threshold", "area", "detector", "label_number"),
        *("object-label", "object-iou", "scene-label", "scene-iou"),
    ]
    iou = found.iou()
    names = dict(zip(found.concept_numbers.tolist(), found.concepts.names, strict=True))
    labels = label_units(iou, found.concepts, found.profile)
    for k, row in enumerate(table.to_dict("records")):
        q = labels.best[k]
        assert row["unit"] == k
        assert row["iou"] == iou[k].max()
        assert row["label"] == names.get(row["label_number"], "")
        assert row["label_number"] == labels.numbers[k, q]
        assert row["category"] == found.concepts.categories[q]
        assert row["detector"] == (iou[k].max() > 0.04)
        assert row["threshold"] == found.thresholds[k]
        assert row["area"] == found.mask_area[k]
        assert row["scene-iou"] == iou[k, 1]
        assert row["scene-label"] == ("sky" if iou[k, 1] else "")
        assert row["object-iou"] == max(iou[k, 0], iou[k, 2])
    assert table["label"][0] == ""  # unit 0 overlaps nothing
    assert table["detector"].sum() == found.summary().detectors


def test_no_categories_no_labels():
    counts = Counts(
        np.zeros((UNITS, 0), int), np.zeros((UNITS, 0), int), np.zeros(0, int), np.zeros(UNITS, int)
    )
    empty = Concepts(np.zeros(0, int), (), np.zeros(0, int), ())
    found = layer(concepts=empty, counts=counts)
    assert found.units()["label"].tolist() == [""] * UNITS
    assert found.units()["category"].tolist() == [""] * UNITS
    assert found.summary().detectors == 0


def test_too_few_values_are_undetermined_not_zero_detectors():
    assert layer(seen=np.full(UNITS, 199)).summary().undetermined
    assert not layer(seen=np.full(UNITS, 200)).summary().undetermined
    assert not layer(seen=np.array([0, 0, 0, 0, 200])).undetermined  # NaN left most units out


def test_the_profile_decides_the_cut():
    found = layer()
    best = np.sort(found.iou().max(1))
    for inclusive in (False, True):
        p = profile("netdissect", cut=float(best[2]), cut_inclusive=inclusive)
        assert layer(profile=p).summary().detectors == UNITS - 3 + inclusive


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("thresholds", np.zeros(UNITS + 1, np.float32)),
        ("seen", np.zeros(1, int)),
        ("maxima", np.zeros((UNITS, IMAGES), np.float32)),
        ("upsampling", make_upsampling("half-pixel", (7, 7), (9, 9))),
        ("shape", (IMAGES + 1, UNITS, 3, 4)),
        ("concepts", Concepts(np.array([1]), ("x",), np.array([0]), ("q",))),
    ],
)
def test_parts_that_do_not_fit_are_refused(field, value):
    with pytest.raises(SettingError, match="layer4"):
        layer(**{field: value})


def test_a_layer_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        layer().name = "other"


# --- the run ---


def test_a_dissection_is_a_mapping_in_the_runs_order():
    d = dissection(layer(name="layer4"), layer(1, name="layer3"), layer(2, name="stem"))
    assert list(d) == ["layer4", "layer3", "stem"]
    assert len(d) == 3
    assert "layer3" in d
    assert "layer5" not in d
    assert d.get("layer5") is None
    assert d["stem"].name == "stem"
    with pytest.raises(
        LayerError, match="no layer 'layer5'; it has layer4, layer3, stem; nearest: layer4, layer3"
    ):
        d["layer5"]
    assert "layer4, layer3, stem" in repr(d)
    assert "layer4" in repr(d["layer4"])


@pytest.mark.parametrize("names", [(), ("a", "b")])
def test_layers_over_other_images_are_refused(names):
    one = layer()
    with pytest.raises(SettingError, match=f"over {IMAGES}"):
        Dissection({"layer4": one}, one.profile, one.concepts, names, {})
    with pytest.raises(SettingError, match="at least one"):
        Dissection({}, one.profile, one.concepts, names, {})
    with pytest.raises(SettingError, match="'other'"):
        Dissection({"other": one}, one.profile, one.concepts, ("i",) * IMAGES, {})


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += data


def test_a_notebook_shows_names_as_text():
    evil = '<script>alert("1")</script>&amp;'
    html = dissection(layer(name=evil), layer(name="few", seen=np.zeros(UNITS, int)))._repr_html_()
    parser = Tags()
    parser.feed(html)
    assert parser.tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert evil in parser.text
    assert "undetermined" in parser.text


def test_of_hundreds_of_layers_messages_name_the_first_and_the_last():
    data = Photos(3)
    few = make_dissection([plant(f"b.{i}", 2, 3, data.concepts, keep=False) for i in range(24)], data)
    many = make_dissection([plant(f"b.{i}", 2, 3, data.concepts, keep=False) for i in range(25)], data)
    assert ", b.22, b.23>" in repr(few)
    assert repr(many).endswith(": 25 layers, b.0 ... b.24>")
    with pytest.raises(
        LayerError, match=r"has no layer 'b\.25'; it has 25 layers, b\.0 ... b\.24; nearest: b\."
    ):
        many["b.25"]
