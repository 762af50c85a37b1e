"""A DataLoader of (images, labels): the same results as the data set, and no other loader in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import (
    PLAIN,
    Net,
    as_dense,
    assert_is,
    dissect_plainly,
    gather,
    permuted,
    same_files,
    same_results,
)
from torch.utils.data import DataLoader, TensorDataset

import fastdissect as fd
from fastdissect.batches import network_input
from fastdissect.datasets import open_dataset
from fastdissect.errors import FastdissectError, OutputError
from fastdissect.running import Run

SIZE, IMAGES = 32, 22


def tensors(start: int = 0, images: int = IMAGES) -> tuple[torch.Tensor, torch.Tensor, Any]:
    """Images, the labels of two categories' first channels, and the data set they come from."""
    data = permuted(open_dataset(f"shapes:images={start + images},size={SIZE}"), range(start, start + images))
    x = [network_input(data.read_image(i)[0], PLAIN, (SIZE, SIZE)) for i in range(images)]
    data._labels = [  # type: ignore[attr-defined]
        [(q, m) for q, m in own if isinstance(m, np.ndarray)][:2] for own in data._labels
    ]
    blank = np.zeros((SIZE, SIZE), np.uint16)
    y = [np.stack(([m for _, m in own] + [blank, blank])[:2]) for own in data._labels]
    return torch.from_numpy(np.stack(x)), torch.from_numpy(np.stack(y).astype(np.int64)), data


def loader(start: int = 0, images: int = IMAGES, **options: Any) -> DataLoader[Any]:
    x, y, _ = tensors(start, images)
    return DataLoader(TensorDataset(x, y), **{"batch_size": 5, **options})


def run(data: Any, **options: Any) -> Any:
    defaults = {"cache": None, "progress": False, "quantile": 0.05, "concepts": tensors(0, 1)[2].concepts}
    return fd.dissect(Net().eval(), data, ["first", "second"], **{**defaults, **options})


def test_a_loader_gives_what_the_data_set_gives() -> None:
    _, _, data = tensors()
    found = run(loader())
    options = {"preprocessing": PLAIN, "batch_size": 5, "workers": 0, "concepts": None}
    same_results(found, run(data, **options))
    maps = as_dense(gather(Net().eval(), data, ["second"], 5, (SIZE, SIZE))["second"])
    assert_is(found["second"], dissect_plainly(maps, data, found.profile, found["second"].upsampling))
    assert found.image_names[3] == "00000003"


def test_lists_of_batches_and_workers() -> None:
    same_results(run(list(loader())), run(loader()))
    same_results(run(loader(num_workers=1)), run(loader()))
    same_results(run(loader(), passes=3), run(loader()))


def test_the_last_batch_may_be_dropped() -> None:
    found = run(loader(drop_last=True))
    assert found["first"].shape[0] == 20  # of 22 announced: an upper bound will do
    same_results(found, run(loader(images=20)))


def test_only_the_first_images() -> None:
    found = run(loader(), images=7)
    assert found["first"].shape[0] == 7
    x, y, _ = tensors()
    same_results(found, run([(x[:5], y[:5]), (x[5:7], y[5:7])]))


def test_names_make_a_vocabulary() -> None:
    _, y, _ = tensors()
    names = [f"label {i}" for i in range(1, int(y.max()) + 1)]
    found = run(loader(), concepts=names)
    assert found.concepts.categories == ("concept",)
    assert list(found.concepts.names) == names
    concepts = tensors(0, 1)[2].concepts
    columns = [int(n) - 1 for n in concepts.numbers if n <= len(names)]
    other = run(loader())
    np.testing.assert_array_equal(
        found["first"].intersection[:, columns], other["first"].intersection[:, : len(columns)]
    )


def test_labels_of_one_channel_and_other_dtypes() -> None:
    x, y, _ = tensors()
    whole = run([(x, y[:, 0])])
    for labels in (
        y[:, :1],
        y[:, 0].to(torch.uint8) if y.max() < 256 else y[:, 0].int(),
        y[:, 0].short(),
        y[:, 0].numpy(),
    ):
        same_results(run([(x, labels)]), whole)
    kept = run([(x, torch.cat([y, y], 1))], repeats="per-channel")
    np.testing.assert_array_equal(
        kept["first"].concept_area, 2 * run([(x, y)], repeats="per-channel")["first"].concept_area
    )


@pytest.mark.parametrize("labels", [None, 3, {"masks": 1}])
def test_labels_that_cannot_be_counted(labels: Any) -> None:
    x, _, _ = tensors()
    with pytest.raises(
        FastdissectError, match=r"image 0: expected images .* and as many labels; got \[22, 3, 32, 32\]"
    ):
        run([(x, labels)])


def test_bfloat16_is_no_label_number() -> None:
    """Its bits would be: 1.0 is 16,256."""
    x, y, _ = tensors()
    with pytest.raises(FastdissectError, match=r"expected integer labels .* got float32"):
        run([(x, y.to(torch.bfloat16))], concepts=[str(n) for n in range(20_000)])


def test_targets_may_hold_more_than_masks() -> None:
    x, _, _ = tensors()
    target = {
        "masks": torch.ones(IMAGES, 1, SIZE, SIZE, dtype=torch.uint8),
        "labels": torch.ones(IMAGES, 1).long(),
    }
    same_results(run([(x, {**target, "note": 7})]), run([(x, target)]))


def break_off(monkeypatch: pytest.MonkeyPatch, out: Path, data: Any, batch: int, **options: Any) -> None:
    calls = 0
    one_batch = Run._one_batch

    def broken(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == batch:
            raise RuntimeError("broken off")
        return one_batch(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_one_batch", broken)
        with pytest.raises(RuntimeError, match="broken off"):
            run(data, out=out, checkpoint_seconds=0, **options)


@pytest.mark.parametrize(("passes", "batch"), [(1, 2), (1, 4), (2, 4), (2, 8), (3, 12)])
def test_an_interrupted_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passes: int, batch: int
) -> None:
    run(loader(), out=tmp_path / "whole", passes=passes)
    break_off(monkeypatch, tmp_path / "out", loader(), batch, passes=passes)
    found = run(loader(), out=tmp_path / "out", passes=passes)
    assert found.run["resumed"] == 1
    same_files(tmp_path / "whole", tmp_path / "out")


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("what", ["image", "label"])
def test_another_loader_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, passes: int
) -> None:
    break_off(monkeypatch, tmp_path / "out", loader(), 4 if passes == 1 else 8, passes=passes)
    other = loader()
    changed = other.dataset.tensors[0 if what == "image" else 1]  # type: ignore[attr-defined]
    changed[7] = changed[8]
    with pytest.raises(OutputError, match="these images or their masks have changed since: 00000007;"):
        run(other, out=tmp_path / "out", passes=passes)
    changed[0] = changed[8]
    with pytest.raises(OutputError, match=r"data set: 'first batch .* then"):
        run(other, out=tmp_path / "out", passes=passes)


def test_another_loader_does_not_get_a_finished_run(tmp_path: Path) -> None:
    run(loader(), out=tmp_path / "out")
    run(loader(), out=tmp_path / "out")
    with pytest.raises(OutputError, match="differs in data set: 'first batch "):
        run(loader(start=1), out=tmp_path / "out")


def test_other_batches_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, _ = tensors()
    sizes = [5, 5, 5, 7]
    batches = list(zip(x.split(sizes), y.split(sizes), strict=True))
    break_off(monkeypatch, tmp_path / "out", batches, 3)
    sizes = [5, 8, 9]
    batches = list(zip(x.split(sizes), y.split(sizes), strict=True))
    with pytest.raises(
        OutputError, match="batches ended at image 10 then, at 13 now; use the same batch size"
    ):
        run(batches, out=tmp_path / "out")


def test_a_shuffled_loader_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shuffled = loader(shuffle=True, generator=torch.Generator().manual_seed(0))
    break_off(monkeypatch, tmp_path / "out", shuffled, 3)
    with pytest.raises(FastdissectError, match="belongs to another run"):
        run(shuffled, out=tmp_path / "out")
