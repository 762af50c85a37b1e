"""TopQuantile against np.partition: any shape, dtype, layout, order, grouping and amount of memory."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import KINDS, VALUES, encode, values
from numpy.typing import NDArray

import fastdissect as fd
from fastdissect import TopQuantile, top_quantile
from fastdissect.arrays_file import read_arrays, write_arrays
from fastdissect.errors import ActivationError, OutputError, SettingError
from fastdissect.kernels.keys import widen

Array = NDArray[Any]


def exact(x: Array, quantile: float | Fraction) -> Array:
    """Rank floor(q n) + 1 from the top, a unit; x float32 [N, K, ...]."""
    q = Fraction(str(quantile)) if isinstance(quantile, float) else quantile
    by_unit = (np.moveaxis(x, 1, 0) + np.float32(0)).reshape(x.shape[1], -1)
    n = by_unit.shape[1]
    at = n - 1 - int(q * n)
    return np.partition(by_unit, at, axis=1)[:, at]


def quantile_of(x: Array, quantile: float = 0.01, total: int | None = None, **options: Any) -> TopQuantile:
    """A TopQuantile that has seen x [N, K, ...] at once."""
    q = TopQuantile(x.shape[1], quantile, total or x.size // x.shape[1], **options)
    q.update(x)
    return q


@pytest.fixture
def small_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prune, and cut into pieces, at sizes that a test reaches."""
    monkeypatch.setattr(top_quantile, "SMALLEST", 1 << 9)
    monkeypatch.setattr(top_quantile, "PIECE", 1 << 9)


SHAPES = [(1, 1), (7, 3), (1, 5, 1, 1), (3, 4, 7, 7), (64, 2, 3, 5), (2, 1, 90, 70), (500, 9)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("flavour", VALUES)
@pytest.mark.parametrize("quantile", [0.5, 0.25, 0.1])
def test_equals_partition(shape: tuple[int, ...], flavour: str, quantile: float, small_stores: None) -> None:
    rng = np.random.default_rng(len(shape) + shape[0])
    four = (*shape, 1, 1)[:4]
    x = values(rng, four, flavour).reshape(shape)
    if x.size // shape[1] * quantile < 1:
        with pytest.warns(UserWarning, match=r"too few for the top .*: the threshold is the maximum"):
            found = quantile_of(x, quantile).thresholds()
    else:
        found = quantile_of(x, quantile).thresholds()
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, exact(x, quantile))
    assert (
        (x > found.reshape(1, -1, *[1] * (x.ndim - 2))).reshape(shape[0], shape[1], -1).mean((0, 2))
        <= quantile
    ).all()


@st.composite
def streams(draw: st.DrawFn) -> tuple[Array, float, list[int], int]:
    """(x [N, K, h, w], quantile, where the stream is cut, values beyond the total that was announced)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = tuple(draw(st.integers(1, top)) for top in (30, 5, 6, 6))
    x = values(rng, shape, draw(st.sampled_from(VALUES)))
    cuts = sorted(draw(st.lists(st.integers(0, shape[0]), max_size=4)))
    return x, draw(st.sampled_from([0.005, 0.01, 0.1, 0.3, 0.5])), cuts, draw(st.sampled_from([0, 1, 1000]))


def pieces(x: Array, cuts: list[int]) -> list[Array]:
    return [x[a:b] for a, b in itertools.pairwise([0, *cuts, len(x)])]


@given(streams())
@pytest.mark.filterwarnings("ignore:n = ")
def test_streams_in_any_cuts_with_any_total(stream: Any) -> None:
    x, quantile, cuts, beyond = stream
    q = TopQuantile(x.shape[1], quantile, x.size // x.shape[1] + beyond)
    for piece in pieces(x, cuts):
        q.update(piece)
        low, high = q.bracket()
        if q.count:
            np.testing.assert_array_equal(low, high)
            np.testing.assert_array_equal(low, exact(x[: q.count // x[0, 0].size], quantile))
    np.testing.assert_array_equal(q.thresholds(), exact(x, quantile))


@given(streams(), st.integers(0, 4000))
@pytest.mark.filterwarnings("ignore:n = ")
def test_the_bracket_always_holds_the_threshold(stream: Any, memory: int) -> None:
    x, quantile, cuts, beyond = stream
    total = x.size // x.shape[1] + beyond
    parts = []
    whole = TopQuantile(x.shape[1], quantile, total, memory=memory)
    for i, piece in enumerate(pieces(x, cuts)):
        whole.update(piece)
        parts.append(TopQuantile(x.shape[1], quantile, total, memory=memory if i % 2 else None))
        parts[-1].update(piece)
        seen = x[: whole.count // x[0, 0].size]
        low, high = whole.bracket()
        if len(seen):
            true = exact(seen, quantile)
            assert (low <= true).all()
            assert (true <= high).all()
            if whole.exact:
                np.testing.assert_array_equal(whole.thresholds(), true)
    for q in parts[1:]:
        parts[0].merge(q)
    low, high = parts[0].bracket()
    assert (low <= exact(x, quantile)).all()
    assert (exact(x, quantile) <= high).all()
    assert parts[0].count == total - beyond


@given(streams(), st.randoms(use_true_random=False))
@pytest.mark.filterwarnings("ignore:n = ")
def test_merges_in_any_order_and_grouping_are_the_same_bytes(stream: Any, random: Any) -> None:
    x, quantile, cuts, beyond = stream
    total = x.size // x.shape[1] + beyond

    def parts() -> list[TopQuantile]:
        found = []
        for piece in pieces(x, cuts):
            q = TopQuantile(x.shape[1], quantile, total)
            q.update(piece)
            found.append(q)
        return found

    def bytes_of(q: TopQuantile) -> bytes:
        from tempfile import TemporaryDirectory

        with TemporaryDirectory() as folder:
            q.save(Path(folder) / "q.npz")
            return (Path(folder) / "q.npz").read_bytes()

    whole = TopQuantile(x.shape[1], quantile, total)
    whole.update(x)
    states = {bytes_of(whole)}
    for _ in range(3):
        pool = parts()
        while len(pool) > 1:
            a = pool.pop(random.randrange(len(pool)))
            b = pool.pop(random.randrange(len(pool)))
            pool.append(a.merge(b))
        np.testing.assert_array_equal(pool[0].thresholds(), exact(x, quantile))
        states.add(bytes_of(pool[0]))
    assert len(states) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_16_bit_types(kind: str, small_stores: None) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3, 5, 5)).astype(np.float32)
    held = encode(x, kind)
    if kind == "bfloat16":
        tensor = torch.from_numpy(held.view(np.int16)).view(torch.bfloat16)
    else:
        tensor = torch.from_numpy(held)
    q = quantile_of(tensor, 0.05, total=1000)
    np.testing.assert_array_equal(q.thresholds(), exact(widen(held, kind), 0.05))
    assert q.nbytes < 1000 * 3 * (4 if kind == "float32" else 2) / 4


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_layouts_are_read_in_place(library: str, small_stores: None) -> None:
    x = np.random.default_rng(1).normal(size=(20, 6, 4, 5)).astype(np.float32)
    give = torch.from_numpy if library == "torch" else np.asarray
    for array, layout in (
        (x, "NCHW"),
        (np.ascontiguousarray(x.transpose(0, 2, 3, 1)), "NHWC"),
        (np.ascontiguousarray(x.reshape(20, 6, 20).transpose(0, 2, 1)), "NTC"),
        (np.asfortranarray(x), "NCHW"),
        (np.repeat(x, 2, 3)[..., ::2], "NCHW"),
    ):
        q = TopQuantile(6, 0.03, 400)
        q.update(give(array), layout)
        np.testing.assert_array_equal(q.thresholds(), exact(x, 0.03))
    q = TopQuantile(6, 0.03, 400)
    q.update(give(np.ascontiguousarray(x.transpose(0, 2, 3, 1).reshape(400, 6))))  # [N, K]
    np.testing.assert_array_equal(q.thresholds(), exact(x, 0.03))
    if library == "torch":
        grown = torch.from_numpy(x).requires_grad_()
        np.testing.assert_array_equal(quantile_of(grown, 0.03, 400).thresholds(), exact(x, 0.03))


@pytest.mark.parametrize("shape", [(3_000_000, 1), (40, 2, 200, 200), (1, 1, 3000, 1000)])
def test_one_huge_update_keeps_little(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(2).standard_normal(shape, dtype=np.float32)
    q = quantile_of(x, 0.001)
    np.testing.assert_array_equal(q.thresholds(), exact(x, 0.001))
    assert q.nbytes < x.nbytes / 50


def test_ties_are_forgotten(small_stores: None) -> None:
    q = TopQuantile(2, 0.01, 10_000)
    for _ in range(10):
        q.update(np.broadcast_to(np.array([0.0, 7.0], np.float32), (1000, 2)))
    q.update(np.zeros((0, 2), np.float32))
    assert q.nbytes < 1000
    assert q.thresholds().tolist() == [0, 7]


def test_infinities_are_ordinary_and_zeros_are_one() -> None:
    inf = np.inf
    x = np.array([[-inf], [inf], [1], [inf], [-inf], [0.0], [-0.0], [3]], np.float32)
    for quantile, expected in ((0.125, inf), (0.25, 3), (0.375, 1), (0.5, 0)):
        assert quantile_of(x, quantile).thresholds().tolist() == [expected]
    assert not np.signbit(quantile_of(np.full((4, 1), -0.0, np.float32), 0.25).thresholds()[0])


@pytest.mark.parametrize(
    "quantile", [0.005, "0.005", "1/200", Fraction(1, 200), np.float64(0.005), np.float32(0.005)]
)
def test_the_quantile_is_the_decimal_that_was_written(quantile: Any) -> None:
    x = np.arange(200, dtype=np.float32)[:, None]  # binary 0.005 * 200 may fall below 1
    assert TopQuantile(1, quantile, 200).quantile == Fraction(1, 200)
    q = TopQuantile(1, quantile, 200)
    q.update(x)
    assert q.thresholds().tolist() == [198]


@pytest.mark.parametrize(
    ("quantile", "message"),
    [
        (0, "between 0 and 1"),
        (1, "between 0 and 1"),
        (-0.1, "between 0 and 1"),
        (1.5, "between 0 and 1"),
        (0.995, r"did you mean 1 - 0.995 = 0.005\?"),
        (float("nan"), "expected a quantile such as 0.005"),
        ("much", "expected a quantile such as 0.005"),
        (None, "expected a quantile such as 0.005"),
    ],
)
def test_quantiles_that_are_none(quantile: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        TopQuantile(3, quantile, 100)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "expected units to be a whole number of 1 or more; got 0"),
        ({"units": 2.5}, "expected units"),
        ({"total": 0}, "expected total to be a whole number of 1 or more .*images x height x width.; got 0"),
        ({"total": -1}, "expected total"),
        ({"total": 1e6}, "expected total"),
        ({"total": True}, "expected total"),
        ({"nan": "ignore"}, 'expected nan to be "error" or "omit"; got \'ignore\''),
        ({"memory": -1}, "expected memory in whole bytes"),
        ({"memory": 1.5}, "expected memory in whole bytes"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        TopQuantile(**{"units": 3, "quantile": 0.01, "total": 100, **arguments})


def unchanged(q: TopQuantile, update: Any, error: type[Exception], match: str, tmp_path: Path) -> None:
    """The update raises, and the state is in every byte what it was."""
    q.save(tmp_path / "before.npz")
    held = q.nbytes
    with pytest.raises(error, match=match):
        update(q)
    q.save(tmp_path / "after.npz")
    assert q.nbytes <= held
    assert (tmp_path / "before.npz").read_bytes() == (tmp_path / "after.npz").read_bytes()


@pytest.mark.parametrize("memory", [None, 200])
def test_a_failed_update_changes_nothing(tmp_path: Path, small_stores: None, memory: int | None) -> None:
    x = np.random.default_rng(3).normal(size=(100, 3, 4, 4)).astype(np.float32)
    q = TopQuantile(3, 0.05, 3000, memory=memory)
    q.update(x)
    assert q.exact == (memory is None)
    bad = x[:80].copy()
    bad[70, 1, 2, 3] = np.nan
    nan = 'got NaN for unit 1 at image 70, cell 11; pass nan="omit"'
    unchanged(q, lambda q: q.update(bad), ActivationError, nan, tmp_path)
    past = "expected at most total = 3000 values a unit; got 3200; give the whole stream's total"
    unchanged(q, lambda q: q.update(x), ActivationError, past, tmp_path)
    unchanged(q, lambda q: q.update(x[:, :2]), ActivationError, "of 3 units; got 2", tmp_path)
    half = x[:1].astype(np.float16)
    unchanged(q, lambda q: q.update(half), ActivationError, "expected float32 as in the first", tmp_path)
    doubles = r"float64; convert them knowingly"
    unchanged(q, lambda q: q.update(x[:1].astype(float)), ActivationError, doubles, tmp_path)
    whole = r"got int64; convert them knowingly"
    unchanged(q, lambda q: q.update(np.ones((1, 3), int)), ActivationError, whole, tmp_path)
    unchanged(
        q, lambda q: q.update(x[0]), ActivationError, re.escape("expected activations [N, K, h, w]"), tmp_path
    )
    unchanged(q, lambda q: q.update(x[:1], "CHWN"), SettingError, "expected a layout of NCHW", tmp_path)
    unchanged(q, lambda q: q.update([[1.0]]), ActivationError, "got list", tmp_path)
    flat = np.full((50, 3), np.nan, np.float32)
    unchanged(q, lambda q: q.update(flat), ActivationError, "unit 0 at image 0, cell 0", tmp_path)
    q.update(x[:87])
    if q.exact:
        np.testing.assert_array_equal(q.thresholds(), exact(np.concatenate([x, x[:87]]), 0.05))


def test_nan_can_be_omitted(small_stores: None) -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(200, 3, 4, 4)).astype(np.float32)
    x[rng.random(x.shape) < np.array([0, 0.3, 0.9])[None, :, None, None]] = np.nan
    q = TopQuantile(3, 0.05, 4000, nan="omit")
    for part in np.split(x, 8):
        q.update(part)
    expected = [exact(own[~np.isnan(own)][:, None], 0.05)[0] for own in x.transpose(1, 0, 2, 3)]
    np.testing.assert_array_equal(q.thresholds(), expected)
    low, high = quantile_of(x, 0.05, nan="omit", memory=0).bracket()
    assert (low <= expected).all()
    assert (expected <= high).all()


def test_a_unit_without_values(small_stores: None) -> None:
    x = np.ones((40, 2), np.float32)
    x[:, 1] = np.nan
    q = quantile_of(x, 0.05, nan="omit")
    with pytest.raises(ActivationError, match="expected at least one value a unit; unit 1 has none"):
        q.thresholds()
    low, high = q.bracket()
    assert (low.tolist(), high.tolist()) == ([1, -np.inf], [1, np.inf])
    with pytest.raises(ActivationError, match=r"update\(\) first"):
        TopQuantile(1, 0.1, 10).thresholds()
    assert [end.tolist() for end in TopQuantile(1, 0.1, 10).bracket()] == [[-np.inf], [np.inf]]


def test_too_little_memory_gives_a_bracket_and_says_how_much_is_needed(small_stores: None) -> None:
    x = np.random.default_rng(5).normal(size=(4000, 4)).astype(np.float32)
    q = quantile_of(x, 0.1, memory=3000)
    assert not q.exact
    assert "bracket only" in repr(q)
    with pytest.raises(
        ActivationError, match=r"memory = 3,000 bytes did not suffice.*pass memory >= ([\d,]+)"
    ) as info:
        q.thresholds()
    needed = int(re.search(r">= ([\d,]+)", str(info.value))[1].replace(",", ""))
    low, high = q.bracket()
    assert (low <= exact(x, 0.1)).all()
    assert (exact(x, 0.1) <= high).all()
    assert (low > 0).all()
    assert (high < 4 * low).all()  # eight bits: a sign and all but the last of the exponent's
    assert needed < x.nbytes
    enough = quantile_of(x, 0.1, memory=needed)
    np.testing.assert_array_equal(enough.thresholds(), exact(x, 0.1))


def test_more_memory_narrows_the_bracket(small_stores: None) -> None:
    x = np.random.default_rng(6).normal(size=(100_000, 1)).astype(np.float32)
    widths = []
    for bits in (8, 10, 12, 14):
        q = quantile_of(x, 0.5, memory=8 << bits)
        assert not q.exact
        assert q.nbytes == 8 << bits
        low, high = q.bracket()
        widths.append(float(high[0] - low[0]))
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0] / 8


def test_memory_holds_after_every_update(small_stores: None) -> None:
    x = np.random.default_rng(7).normal(size=(3000, 8)).astype(np.float32)
    q = TopQuantile(8, 0.01, 3000, memory=2000)
    for part in np.split(x, 100):
        q.update(part)
        assert q.nbytes <= 2000
    np.testing.assert_array_equal(q.thresholds(), exact(x, 0.01))


def test_states_that_do_not_belong_together() -> None:
    x = np.zeros((4, 2), np.float32)
    q = quantile_of(x, 0.25, 8)
    for other, name in (
        (TopQuantile(3, 0.25, 8), "units"),
        (TopQuantile(2, 0.5, 8), "quantile"),
        (TopQuantile(2, 0.25, 9), "total"),
        (TopQuantile(2, 0.25, 8, nan="omit"), "nan"),
        (quantile_of(x.astype(np.float16), 0.25, 8), "dtype"),
    ):
        with pytest.raises(SettingError, match=f"expected states of equal {name}"):
            q.merge(other)
    with pytest.raises(SettingError, match="expected a TopQuantile to merge; got int"):
        q.merge(3)  # type: ignore[arg-type]
    q.merge(quantile_of(x, 0.25, 8))
    with pytest.raises(ActivationError, match=r"got 8 \+ 4; every shard's total is the whole stream's"):
        q.merge(quantile_of(x, 0.25, 8))
    assert q.count == 8


def test_a_merge_leaves_the_other_as_it_was() -> None:
    x = np.random.default_rng(8).normal(size=(200, 3)).astype(np.float32)
    a, b = quantile_of(x[:100], 0.1, 200), quantile_of(x[100:], 0.1, 200)
    assert a.merge(b) is a
    np.testing.assert_array_equal(b.thresholds(), exact(x[100:], 0.1))
    empty = TopQuantile(3, 0.1, 200).merge(quantile_of(x.astype(np.float16), 0.1))
    np.testing.assert_array_equal(empty.thresholds(), exact(x.astype(np.float16).astype(np.float32), 0.1))


@pytest.mark.parametrize("memory", [None, 100])
def test_a_saved_state_goes_on(tmp_path: Path, memory: int | None, small_stores: None) -> None:
    x = np.random.default_rng(9).normal(size=(900, 5)).astype(np.float32)
    q = TopQuantile(5, "1/30", 1000, memory=memory, nan="omit")
    for part in np.split(x, 6):
        q.update(part)
        q.save(tmp_path / "q.npz")
        again = TopQuantile.load(str(tmp_path / "q.npz"))
        assert repr(again) == repr(q)
        q = again
    low, high = q.bracket()
    true = exact(x, Fraction(1, 30))
    assert (low <= true).all()
    assert (true <= high).all()
    assert q.exact == (memory is None)
    if q.exact:
        np.testing.assert_array_equal(q.thresholds(), true)
    q.save(tmp_path / "q2.npz")
    assert (tmp_path / "q.npz").read_bytes() == (tmp_path / "q2.npz").read_bytes()


def test_an_empty_state_can_be_saved(tmp_path: Path) -> None:
    TopQuantile(5, 0.1, 10).save(tmp_path / "q.npz")
    q = TopQuantile.load(tmp_path / "q.npz")
    q.update(np.arange(50, dtype=np.float16).reshape(10, 5))
    assert q.thresholds().tolist() == [40, 41, 42, 43, 44]


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "q.npz"
    with pytest.raises(OutputError, match="there is no such file"):
        TopQuantile.load(path)
    q = quantile_of(np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32), 0.2)
    q.save(path)
    whole, arrays = path.read_bytes(), read_arrays(path)
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(OutputError, match="damaged"):
            TopQuantile.load(path)
    for at in range(40, len(whole), 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        with contextlib.suppress(OutputError):  # or it is a byte that says nothing
            np.testing.assert_array_equal(TopQuantile.load(path).thresholds(), q.thresholds())
    record = json.loads(arrays["record"].tobytes())
    for change in (
        {"units": 4},
        {"units": -3},
        {"kind": "float64"},
        {"kind": "float16"},
        {"quantile": "2"},
        {"total": "many"},
        {"nan": "maybe"},
        {"surprise": 1},
    ):
        text = json.dumps({**record, **change}).encode()
        write_arrays(path, {**arrays, "record": np.frombuffer(text, np.uint8)})
        with pytest.raises(OutputError, match="damaged"):
            TopQuantile.load(path)
    for name, array in (
        ("value_start", arrays["value_start"] + 1),
        ("value_start", arrays["value_start"][::-1].copy()),
        ("values", arrays["values"][:-1]),
        ("bounds", arrays["bounds"].astype(np.int64)),
        ("missing", arrays["missing"][:1]),
    ):
        write_arrays(path, {**arrays, name: array})
        with pytest.raises(OutputError, match="damaged"):
            TopQuantile.load(path)
    write_arrays(path, {name: array for name, array in arrays.items() if name != "bounds"})
    with pytest.raises(OutputError, match="damaged"):
        TopQuantile.load(path)
    text = json.dumps({**record, "format": 2}).encode()
    write_arrays(path, {**arrays, "record": np.frombuffer(text, np.uint8)})
    with pytest.raises(OutputError, match="expected format 1 or older; got 2; update fastdissect"):
        TopQuantile.load(path)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        TopQuantile(5, 0.1, 10).save(tmp_path / "file" / "q.npz")


def test_backends_and_threads_give_the_same_state(
    tmp_path: Path, force_backend: Any, unset_threads: None, small_stores: None
) -> None:
    x = np.random.default_rng(10).normal(size=(300, 7, 3, 3)).astype(np.float32)
    states = set()
    for name in fd.backends():
        force_backend(name)
        for threads in (1, 2, 3):
            fd.set_num_threads(threads)
            quantile_of(x, 0.07).save(tmp_path / "q.npz")
            states.add((tmp_path / "q.npz").read_bytes())
    assert len(states) == 1
