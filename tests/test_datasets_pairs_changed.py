"""Items of a torch data set that change between two runs, where the fingerprint's sample does not show it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_datasets_pairs import CONCEPTS, Items, many

import fastdissect as fd
from fastdissect.errors import OutputError
from fastdissect.running import Run


@pytest.mark.parametrize("unlabelled", ["kept", "removed"])
@pytest.mark.parametrize("what", ["image", "labels"])
def test_an_item_that_changed_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, unlabelled: str
) -> None:
    one_batch, calls = Run._one_batch, 0

    def run(data: Any, **options: Any) -> Any:
        return fd.dissect(
            "builtin:shapes", data, "conv2", size=32, batch_size=5, concepts=CONCEPTS, workers=0, progress=False,
            quantile=0.05, cache=tmp_path / "cache", unlabelled=unlabelled, **options,
        )["conv2"]  # fmt: skip

    def broken(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise RuntimeError("broken off")
        return one_batch(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_one_batch", broken)
        with pytest.raises(RuntimeError, match="broken off"):
            run(Items(many(40)), out=tmp_path / "out", checkpoint_seconds=0)
    items = many(40)
    image, label = items[3]  # none of those that the fingerprint is of
    items[3] = (image ^ 1, label) if what == "image" else (image, 3 - label)
    with pytest.raises(OutputError, match="00000003"):
        run(Items(items), out=tmp_path / "out")
    found = run(Items(many(40)), out=tmp_path / "out")
    if what == "labels":  # packed masks are not kept, so that none can be out of date
        assert (run(Items(items)).concept_area != found.concept_area).any()
    assert not (tmp_path / "cache" / "planes").exists()
