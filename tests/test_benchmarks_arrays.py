"""What the benchmark's figures rest on: its arrays, its stand-ins, its own pipeline, and how it judges."""

from __future__ import annotations

import importlib
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from fastdissect import TopQuantile
from fastdissect.benchmarks import memory
from fastdissect.benchmarks.cases import Case
from fastdissect.benchmarks.correctness import agreement, rank_errors
from fastdissect.benchmarks.lite import found_in, records
from fastdissect.benchmarks.maps import as_bfloat16, as_float32, bump_maps, concept_maps
from fastdissect.benchmarks.ours import pipeline_on_arrays
from fastdissect.benchmarks.scenes import Blocks, SavedLabels, labelled_shapes, read_labels
from fastdissect.benchmarks.standins import imread, imresize, offer
from fastdissect.conventions import profile
from fastdissect.datasets import Shapes
from fastdissect.kernels.reference import upsample, upsampled_mask
from fastdissect.upsampling import make_upsampling


@given(st.integers(0, 10_000), st.integers(-20, 30), st.sampled_from([Fraction(1, 200), Fraction(5, 999)]))
def test_a_threshold_so_many_ranks_off_has_that_rank_error(seed: int, off: int, tail: Fraction) -> None:
    n = 4000
    rows = np.random.default_rng(seed).permutation(n).astype(np.float32).reshape(n // 4, 1, 2, 2)
    above = int(tail * n) + off  # an exact method leaves floor(q n) or ceil(q n) above
    slack = 0 if (tail * n).denominator == 1 else 1
    found = rank_errors(Case(rows), np.array([n - 1.0 - above]), tail)
    expected = max(0, -off - 1, off - slack) / n  # at least: the threshold itself counts as well
    assert found["rank error, max"] == found["rank error, median"] == expected


def test_the_rank_error_of_ties_is_none() -> None:
    """Quantised units: whatever rank of the tie is meant, its value is the right threshold."""
    maps = np.repeat(np.arange(4, dtype=np.float32), 250).reshape(-1, 1, 2, 2)
    assert rank_errors(Case(maps), np.array([3.0]), Fraction(1, 10))["rank error, max"] == 0
    assert rank_errors(Case(maps), np.array([2.0]), Fraction(1, 10))["rank error, max"] == 0.15
    assert rank_errors(Case(maps), np.array([4.0]), Fraction(1, 10))["rank error, max"] == 0.1


def test_the_rank_error_over_upsampled_maps_counts_their_pixels() -> None:
    maps = bump_maps(12, 3, 4)
    table = make_upsampling("half-pixel-zero", (4, 4), (9, 9))
    pixels = np.sort(upsample(maps, table).transpose(1, 0, 2, 3).reshape(3, -1), axis=1)
    n, tail = pixels.shape[1], Fraction(1, 100)
    right = pixels[:, n - 1 - int(tail * n)]
    low = pixels[:, n - 1 - int(tail * n) - 20]
    assert rank_errors(Case(maps), right, tail, table)["rank error, max"] == 0
    assert rank_errors(Case(maps), low, tail, table)["rank error, max"] == pytest.approx(19 / n)


def test_agreement_counts_units_and_finds_the_greatest_difference() -> None:
    ours = {"label": np.array([1, 2, 3, 4]), "iou": np.zeros((4, 2)), "score": np.zeros((4, 1))}
    theirs = {"label": np.array([1, 2, 3, 9]), "score": np.array([[0], [0.25], [0], [0]])}
    assert agreement(ours, theirs) == {"label agreement": 0.75, "IoU difference, max": 0.25}
    theirs["iou"] = np.array([[0, 0], [0, 0], [0, -0.5], [0, 0]])
    assert agreement(ours, theirs)["IoU difference, max"] == 0.5


@given(arrays.arrays(np.float32, (7,), elements=st.floats(0, 2.0**100, width=32)))
def test_bfloat16_is_the_nearest(values: np.ndarray) -> None:
    bits = as_bfloat16(values)
    rounded = as_float32(bits).astype(float)
    for step in (-1, 1):
        beside = as_float32((bits.astype(np.int64) + step).clip(0).astype(np.uint16)).astype(float)
        assert (abs(rounded - values) <= abs(beside - values)).all()


def test_maps_do_not_depend_on_the_blocks_that_they_are_made_in_and_like_their_concepts() -> None:
    maps = bump_maps(5, 4, 6, seed=3)
    assert maps.dtype == np.float32
    assert (maps >= 0).all()
    assert np.array_equal(maps, bump_maps(5, 4, 6, seed=3))
    assert not np.array_equal(maps, bump_maps(5, 4, 6, seed=4))
    present = np.zeros((200, 2), bool)
    present[::2, 0] = True
    centres = np.full((200, 2, 2), 0.1, np.float32)
    liked = concept_maps(present, centres, 4, 7)
    assert liked[::2, 0].mean() > 1.5 * liked[1::2, 0].mean(), "unit 0 likes concept 0"
    assert liked[::2, 1].mean() < 1.2 * liked[1::2, 1].mean(), "unit 1 does not"
    assert liked[::2, 2, :2, :2].mean() > 3 * liked[::2, 2, 4:, 4:].mean(), (
        "and its bump is where the concept is"
    )


@given(st.sampled_from([(4, 4), (7, 7), (3, 5), (12, 12)]), st.integers(0, 99))
def test_the_stand_in_resizes_as_our_tables_do(cells: tuple[int, int], seed: int) -> None:
    map_ = np.random.default_rng(seed).standard_normal(cells).astype(np.float32)
    table = make_upsampling("pil", cells, (8, 8))
    assert np.abs(imresize(map_, (8, 8), mode="F") - upsample(map_, table)).max() < 1e-5


def test_the_stand_in_reads_wide_pixels(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 3, 3), 200, np.uint8)).save(tmp_path / "a.png")
    pixels = imread(str(tmp_path / "a.png"))
    assert pixels.shape == (2, 3, 3)
    assert (pixels[:, :, 0] + pixels[:, :, 1] * 256 == 200 * 257).all()
    with pytest.raises(NotImplementedError):
        imresize(pixels[:, :, 0], (4, 4), interp="bicubic", mode="F")


def test_stand_ins_fill_gaps_and_leave_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gone_library", "gone_library.deep", "gone_library.deep.down"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    offer("gone_library.deep.down", {"function": len})
    assert importlib.import_module("gone_library.deep.down").function("abc") == 3
    assert importlib.import_module("gone_library").deep.down is sys.modules["gone_library.deep.down"]
    offer("math", {"pi": 3, "tau_over_two": 3})
    math = importlib.import_module("math")
    monkeypatch.delattr(math, "tau_over_two")
    assert math.pi > 3.1, "what is there stays"


def test_saved_labels_come_back_as_they_were(tmp_path: Path) -> None:
    data = Shapes(8, 32)
    labels = read_labels(data, (16, 16))
    case = Case(bump_maps(8, 2, 3), labels=labels, concepts=data.concepts, thresholds=np.ones(2, np.float32))
    case = case.with_settings(profile="netdissect")
    back = Case.load(case.save(tmp_path))
    assert back.labels is not None
    assert back.concepts is not None
    assert np.array_equal(back.activations, case.activations)
    assert np.array_equal(back.thresholds, case.thresholds)
    assert back.concepts.names == data.concepts.names
    assert back.settings == {"profile": "netdissect"}
    for image, channels in enumerate(back.labels.channels()):
        for own, saved in zip(data.read_labels(image), channels, strict=True):
            assert own.category == saved.category
            if isinstance(own.labels, int):
                assert own.labels == saved.labels
            else:
                assert np.shape(saved.labels) == (16, 16)
                assert set(np.unique(saved.labels)) <= set(np.unique(own.labels))
    few = back.first(3)
    assert few.images == 3
    assert few.labels is not None
    dense, whole = few.labels.dense(9), labels.dense(9)
    assert np.array_equal(dense, whole[:3])
    assert np.array_equal(labels.thinned(4).dense(9), whole[:, :, ::4, ::4])


def test_all_images_of_the_small_broden_have_labels() -> None:
    whole = Shapes(60, 32)
    bare = [i for i in range(60) if not whole.read_labels(i)]
    assert bare, "the set has images without labels"
    own = labelled_shapes(40, 32)
    kept = [i for i in range(60) if i not in bare][:40]
    assert [own.image_name(i) for i in range(len(own))] == [whole.image_name(i) for i in kept]


def test_blocks_have_sixteen_labels_an_image() -> None:
    data = Blocks(3, 50, 32)
    labels = read_labels(data, (16, 16))
    for image in labels.dense():
        assert (np.count_nonzero(image, axis=0) == 1).all(), "one label at a pixel"
        assert len(np.unique(image)) == 17
    for channels in labels.channels():
        for channel in channels:
            numbers = np.unique(channel.labels)
            assert (data.concepts.category[numbers[numbers > 0] - 1] == channel.category).all()


@pytest.mark.parametrize("name", ["netdissect", "netdissect-lite", "dissect-2020"])
def test_the_pipeline_on_arrays_is_the_dense_count(name: str) -> None:
    """Brute force: exact thresholds by sorting, whole masks, logical and."""
    convention = profile(name, presence="all", quantile="1/20")
    data = Shapes(20, 32)
    labels = read_labels(data, (12, 12))
    maps = bump_maps(20, 5, 5)
    planes = labels.planes(data.concepts, once=convention.repeats == "once")
    found = pipeline_on_arrays(Case(maps).view(), planes, data.concepts, convention)
    table = make_upsampling(convention.upsampling, (5, 5), (12, 12))
    if name == "netdissect":
        rows = TopQuantile(5, "1/20", maps[:, 0].size)
        rows.update(maps)
        assert np.array_equal(found.thresholds, rows.thresholds())
    masks = upsampled_mask(maps, found.thresholds[:, None, None], table)
    assert np.array_equal(found.counts.mask_area, masks.sum((0, 2, 3)))
    dense = labels.dense()
    for column, number in enumerate(data.concepts.numbers):
        on = dense == number
        layers = on.any(1, keepdims=True) if convention.repeats == "once" else on
        assert found.counts.concept_area[column] == layers.sum()
        both = [(masks[:, k, None] & layers).sum() for k in range(5)]
        assert found.counts.intersection[:, column].tolist() == both


def test_known_thresholds_are_counted_with() -> None:
    data = Shapes(6, 32)
    labels, maps = read_labels(data, (12, 12)), bump_maps(6, 3, 4)
    known = np.array([0.5, 0.25, 9], np.float32)
    planes = labels.planes(data.concepts, once=True)
    found = pipeline_on_arrays(Case(maps).view(), planes, data.concepts, profile("netdissect"), known)
    assert np.array_equal(found.thresholds, known)
    assert found.counts.mask_area[2] == 0
    table = make_upsampling("half-pixel", (4, 4), (12, 12))
    masks = upsampled_mask(maps, known[:, None, None], table)
    assert np.array_equal(found.counts.mask_area, masks.sum((0, 2, 3)))
    assert masks[:, :2].any()


def test_records_and_rows_of_netdissect_lite() -> None:
    data = Shapes(1)
    maps = np.arange(8, dtype=np.uint16).reshape(2, 2, 2)
    numbers = (np.array([0, 0, 0]), np.array([0, 0, 4]), np.array([0, 0, 105]), np.array([0, 1, -1]))
    (record,) = records(SavedLabels(1, maps, *numbers), data.concepts)
    assert (record["i"], record["sh"], record["sw"]) == (0, 2, 2)
    assert record["color"].dtype == np.int16
    assert np.array_equal(record["color"], maps)
    assert record["scene"] == [105]
    assert record["texture"] == []
    rows = [
        {"unit": 2, "label": "sky", "score": 0.5, **{f"{q}-iou": 0.5 for q in data.concepts.categories}},
        {"unit": 1, "label": "", "score": 0.0, **{f"{q}-iou": 0.0 for q in data.concepts.categories}},
    ]
    found = found_in(rows, data.concepts)
    number = int(data.concepts.numbers[data.concepts.names.index("sky")])
    assert found["label"].tolist() == [0, number]
    assert found["score"][:, 0].tolist() == [0.0, 0.5]


def test_peak_memory_is_that_of_the_work() -> None:
    before = memory.begin()
    if before is None:
        pytest.skip("this system does not say")
    block = np.ones(50_000_000, np.uint8)
    most = memory.peak()
    assert most is not None
    assert most - before > 0.9 * block.nbytes
    if sys.platform == "linux":
        del block
        again = memory.begin()
        assert again is not None
        assert (memory.peak() or 0) - again < 25_000_000, "the peak is set back"
