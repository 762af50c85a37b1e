"""Layers that do not fit the memory together: groups that run one after the other give the files of one run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import PLAIN, Net, same_files, same_results
from killing import run_killed, server, small_run

import fastdissect as fd
from fastdissect import first_passes, planning, sifting
from fastdissect.directions import Directions
from fastdissect.errors import ActivationError, DataError, OutputError, SettingError
from fastdissect.group_progress import NAME
from fastdissect.sharding import dissect_shard

LAYERS, IMAGES = ("first", "second", "third", "head"), 24
SMALL = 6_000  # bytes: a group of the first layer, and one of the others


def run(out: Path | None = None, layers: Any = LAYERS, **options: Any) -> Any:
    defaults = {"preprocessing": PLAIN, "cache": None, "workers": 0, "batch_size": 4, "progress": False}
    data = options.pop("data", f"shapes:images={IMAGES},size=32")
    net = options.pop("net", None) or Net().eval()
    return fd.dissect(net, data, layers, out=out, **{"quantile": 0.05, **defaults, **options})


@pytest.fixture(autouse=True)
def small_stores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers of a few kB are worth planning for."""
    for module in (sifting, first_passes):
        monkeypatch.setattr(module, "SMALLEST", 1 << 10)
    monkeypatch.setattr(planning, "FLOOR", 1 << 10)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    run(out)
    return out


def record(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "run.json").read_bytes()))


class Seen:
    """Batches that the network was given, by group; interrupts before one of them."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, stop: int = 0, error: Any = KeyboardInterrupt
    ) -> None:
        from fastdissect.running import Run

        self.groups: list[tuple[str, ...]] = []
        original = Run._one_batch

        def one_batch(run: Run, batch: Any, hooks: Any) -> None:
            self.groups.append(run.settings.layers)
            if len(self.groups) == stop:
                raise error
            original(run, batch, hooks)

        monkeypatch.setattr(Run, "_one_batch", one_batch)


@pytest.mark.parametrize(("memory", "passes"), [(SMALL, "auto"), (SMALL, 1), (8_000, 1), (8_000, 2)])
def test_groups_give_the_files_of_one_run(whole: Path, tmp_path: Path, memory: int, passes: Any) -> None:
    found = run(tmp_path / "out", memory=memory, passes=passes)
    same_files(whole, tmp_path / "out")
    same_results(found, fd.load(whole))
    groups = found.run["groups"]
    assert [name for group in groups for name in group] == list(LAYERS)
    assert len(groups) == 2
    assert found.run["planner memory"] <= memory
    assert list(found.run["passes"]) == list(found.run["maps"]) == list(LAYERS)
    assert found.run["resumed"] == 0
    same_results(run(memory=memory, passes=passes), found)  # without a folder


@pytest.mark.parametrize("profile", ["netdissect", "netdissect-caffe", "netdissect-lite", "dissect-2020"])
def test_groups_of_every_profile(profile: str) -> None:
    upsampled = profile == "dissect-2020"
    options = {"profile": profile, "quantile": 0.01 if upsampled else 0.05, "layers": LAYERS[:3]}
    whole = run(**options)
    assert "groups" not in whole.run
    found = run(memory=66_000 if upsampled else SMALL, **options)
    assert len(found.run["groups"]) > 1
    same_results(found, whole)


def test_groups_with_directions_thresholds_and_layers_that_keep_nothing(tmp_path: Path) -> None:
    options = {
        "layers": LAYERS[:2],
        "directions": {"turned": Directions("first", np.eye(7)[::-1].copy()), "odd": Directions("second", np.ones((1, 9)))},
        "thresholds": {"second": np.linspace(-1, 1, 9)},
        "activations": ["first", "odd"],
    }  # fmt: skip
    run(tmp_path / "one", **options)
    found = run(tmp_path / "two", memory=8_000, **options)
    assert len(found.run["groups"]) > 1
    same_files(tmp_path / "one", tmp_path / "two")


def test_masks_are_packed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, whole: Path) -> None:
    from fastdissect import batches

    packed: list[Any] = []
    original = batches.image_planes
    monkeypatch.setattr(batches, "image_planes", lambda *a, **k: packed.append(a) or original(*a, **k))
    run(tmp_path / "out", memory=SMALL)
    assert len(packed) == IMAGES
    same_files(whole, tmp_path / "out")


def test_progress_names_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastdissect import batch_passes, running
    from fastdissect.progress import progress_bar

    said: list[str] = []

    def bar(what: str, *args: Any, **options: Any) -> Any:
        said.append(what)
        return progress_bar(what, *args, **options)

    for module in (batch_passes, running):
        monkeypatch.setattr(module, "progress_bar", bar)
    run(memory=SMALL, layers=LAYERS[:2], passes=2)
    assert said == [
        f"group {number} of 2: {what}" for number in (1, 2) for what in ("dissecting", "pass 2", "counting")
    ]


@pytest.mark.parametrize(
    ("stop", "often"), [(1, True), (2, False), (9, False), (12, True), (13, False), (14, True), (24, False)]
)
def test_an_interrupted_run_goes_on_in_its_group(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int, often: bool
) -> None:
    out, options = tmp_path / "out", {"memory": SMALL, "passes": 2}
    with monkeypatch.context() as patch:
        first = Seen(patch, stop)
        with pytest.raises(KeyboardInterrupt):
            run(out, checkpoint_seconds=0 if often else 1000, **options)
    groups = list(dict.fromkeys(first.groups))
    again = Seen(monkeypatch)
    found = run(out, **options)
    same_files(whole, out)
    inside = (stop - 1) % 12  # batches of the group at hand; at the end of a pass they are written down
    lost = 0 if often else inside % 6
    assert len(again.groups) == 12 * len(found.run["groups"]) - (stop - 1) + lost
    assert not (set(groups[:-1]) & set(again.groups))  # what was done is not run again
    assert found.run["groups"][: len(groups)] == [list(group) for group in groups]
    assert not (out / "unfinished").exists()


def test_an_error_in_the_first_group_leaves_nothing_and_later_ones_leave_what_is_done(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, never = tmp_path / "a" / "out", {"memory": SMALL, "passes": 2, "checkpoint_seconds": 1000}
    with monkeypatch.context() as patch:
        Seen(patch, 3, RuntimeError("broken"))
        with pytest.raises(RuntimeError, match="broken"):
            run(out, **never)
    assert not out.exists()
    with monkeypatch.context() as patch:
        Seen(patch, 15, RuntimeError("broken"))
        with pytest.raises(RuntimeError, match="broken"):
            run(out, **never)
    assert sorted(p.name for p in (out / "layers").iterdir()) == ["first"]
    again = Seen(monkeypatch)
    run(out, **never)
    assert ("first",) not in again.groups
    same_files(whole, out)


def interrupted(out: Path, stop: int = 15, **options: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        Seen(patch, stop)
        with pytest.raises(KeyboardInterrupt):
            run(out, **{"memory": SMALL, "passes": 2, "checkpoint_seconds": 0, **options})


def test_what_was_begun_goes_on_as_it_was_begun(whole: Path, tmp_path: Path) -> None:
    """Whatever memory there is by then: more keeps the groups, less is refused, together stays together."""
    interrupted(tmp_path / "more")
    groups = json.loads((tmp_path / "more" / "unfinished" / NAME).read_bytes())["groups"]
    assert run(tmp_path / "more", memory=1 << 30, passes=2).run["groups"] == groups
    same_files(whole, tmp_path / "more")
    interrupted(tmp_path / "less")
    with pytest.raises(SettingError, match=r"group 2 of 2: .*give as much as when the groups were dealt"):
        run(tmp_path / "less", memory=3_500, passes=2)
    run(tmp_path / "less", memory=SMALL, passes=2)
    same_files(whole, tmp_path / "less")
    interrupted(tmp_path / "together", 3, memory=1 << 30)
    with pytest.raises(SettingError, match="begun with memory for all of them"):
        run(tmp_path / "together", memory=SMALL, passes=2)
    with pytest.raises(OutputError, match=r"differs in .*batch size: 4 then, 8 now"):
        run(tmp_path / "together", memory=SMALL, passes=2, batch_size=8)
    assert "groups" not in run(tmp_path / "together", memory=1 << 30, passes=2).run
    same_files(whole, tmp_path / "together")


@pytest.mark.parametrize("memory", [5_700, SMALL, 1 << 30])
def test_a_run_that_was_killed_before_its_first_checkpoint_is_dealt_anew(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    """Nothing can be gone on from: less memory than then is none too little."""
    out = tmp_path / "out"
    interrupted(out, 15)
    path = out / "unfinished" / NAME
    first = {**json.loads(path.read_bytes()), "done": [], "groups": [["first", "second", "third"], ["head"]]}
    shutil.rmtree(out)
    (out / "unfinished" / "group-1").mkdir(parents=True)
    (out / "unfinished" / "group-1" / "digests.raw").write_bytes(b"half")
    path.write_text(json.dumps(first))
    found = run(out, memory=memory)
    assert len(found.run.get("groups", [()])) == (2 if memory < 1 << 30 else 1)
    same_files(whole, out)


def test_other_settings_and_damage_are_refused(whole: Path, tmp_path: Path) -> None:
    out, options = tmp_path / "out", {"memory": SMALL, "passes": 2}
    interrupted(out)
    with pytest.raises(
        OutputError, match=r"belongs to another run; it differs in .*batch size: 4 then, 8 now"
    ):
        run(out, batch_size=8, **options)
    path = out / "unfinished" / NAME
    good = path.read_bytes()
    (done,) = json.loads(good)["done"]
    how = done["record"]
    for change, words in (
        ({"format": 99}, "newer version"),
        ({"groups": [["first"]]}, "is damaged"),
        ({"groups": [[], list(LAYERS)]}, "is damaged"),
        ({"done": [{"images": 3}]}, "is damaged"),
        ({"memory": "much"}, "is damaged"),
        ({"memory": float("inf")}, "is damaged"),
        ({"memory": -1}, "is damaged"),
        *(({"done": [{**done, **other}]}, "is damaged") for other in (
            {"images": float("inf")},
            {"record": {}},
            {"record": {**how, "passes": {"other": 1}}},
            {"record": {**how, "count seconds": "long"}},
            {"record": {name: value for name, value in how.items() if name != "maps"}},
        )),
    ):  # fmt: skip
        path.write_text(json.dumps({**json.loads(good), **change}))
        with pytest.raises(OutputError, match=words):
            run(out, **options)
    for text in (b"{", b"[]", b"null", b"[" * 100_000):
        path.write_bytes(text)
        with pytest.raises(OutputError, match=r"is damaged .* --fresh"):
            run(out, **options)
    path.write_bytes(good)
    counts = out / "layers" / "first" / "counts.npz"
    kept = counts.read_bytes()
    counts.write_bytes(kept[:-9])
    with pytest.raises(OutputError, match=r"counts\.npz .*or begin again with --fresh"):
        run(out, **options)
    counts.unlink()
    with pytest.raises(OutputError, match="is missing"):
        run(out, **options)
    counts.write_bytes(kept)
    table = counts.with_name("units.csv")
    table.rename(tmp_path / "units.csv")
    with pytest.raises(OutputError, match=r"units\.csv is missing; .*--fresh"):
        run(out, **options)
    (tmp_path / "units.csv").rename(table)
    run(out, **options)
    same_files(whole, out)
    interrupted(tmp_path / "again")
    run(tmp_path / "again", fresh=True)
    same_files(whole, tmp_path / "again")
    assert (tmp_path / "again.1" / "unfinished" / NAME).exists()


def test_images_that_changed_between_the_groups(tmp_path: Path) -> None:
    """The first group is done; then an image becomes another one."""
    from dissect_cases import Labelled, vocabulary

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (IMAGES, 32, 32, 3)).astype(np.uint8)
    labels = [[(0, rng.integers(0, 3, (32, 32)).astype(np.int32))] for _ in range(IMAGES)]
    data = Labelled(pixels, labels, vocabulary("ab"))
    interrupted(tmp_path / "out", 13, data=data, checkpoint_seconds=1000)  # the second group's first batch
    pixels[5, :9] = 0
    with pytest.raises(DataError, match="images and masks that the first group of layers saw; got others"):
        run(tmp_path / "out", data=data, memory=SMALL, passes=2)


class Loader:
    """Batches of images and labels, in an order of their own each time if shuffled."""

    def __init__(self, shuffled: bool) -> None:
        self.images = torch.rand(IMAGES, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        self.labels = (self.images[:, 0] > 0.7).long()
        self.shuffled, self.times = shuffled, 0

    def __len__(self) -> int:
        return IMAGES // 4

    @property
    def dataset(self) -> list[int]:
        return list(range(IMAGES))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        self.times += 1
        order = torch.arange(IMAGES).roll(self.times if self.shuffled else 0)
        for own in order.split(4):
            yield self.images[own], self.labels[own]


def test_a_loader_in_groups(tmp_path: Path) -> None:
    options = {"concepts": ["bright"], "batch_size": 4}
    run(tmp_path / "one", data=Loader(False), **options)
    found = run(tmp_path / "two", data=Loader(False), memory=SMALL, **options)
    assert len(found.run["groups"]) > 1
    same_files(tmp_path / "one", tmp_path / "two")
    with pytest.raises(DataError, match="is their order fixed"):
        run(
            data=Loader(True), layers=("third", "head"), memory=1_500,
            thresholds={"third": np.zeros(5), "head": np.zeros(4)}, **options,
        )  # fmt: skip


def test_shards_are_refused_with_the_figures(tmp_path: Path) -> None:
    options = {"preprocessing": PLAIN, "cache": None, "workers": 0, "batch_size": 4, "progress": False}
    with pytest.raises(SettingError, match="in one process, which deals them into groups"):
        dissect_shard(
            Net().eval(), f"shapes:images={IMAGES},size=32", LAYERS, "1/2", out=tmp_path / "out", memory=4_000,
            quantile=0.05, **options,
        )  # fmt: skip


def test_a_layer_that_does_not_fit_alone(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"for 'first'\); 1\.0 kB is what may be taken; give more"):
        run(tmp_path / "out", memory=1_000)
    assert not (tmp_path / "out").exists()


def test_an_error_of_the_data_is_the_groups_own(tmp_path: Path) -> None:
    class Late(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.second[1].weight.data.fill_(float("nan"))
            return super().forward(x)

    with pytest.raises(ActivationError, match="layer 'second'"):
        run(tmp_path / "out", net=Late().eval(), memory=SMALL, passes=2)
    assert (tmp_path / "out" / "unfinished" / NAME).exists()  # the first group is done


@pytest.mark.slow
@pytest.mark.parametrize("passes", [1, 2])
def test_killed_before_any_file_operation(tmp_path: Path, passes: int) -> None:
    """Two layers, a group each: a process of its own dies at every n-th write, rename and removal."""
    context, options = server(), {"memory": 8 << 20, "passes": passes}
    run_killed(context, tmp_path / "whole", 0, checkpoint_seconds=1000)
    total = run_killed(context, tmp_path / "counted", 0, **options)
    same_files(tmp_path / "whole", tmp_path / "counted")
    assert record(tmp_path / "counted")["groups"] == [["first"], ["second"]]
    for at in range(2, total + 1, max(1, total // 8)):
        out = tmp_path / "out"
        assert run_killed(context, out, at, **options) == 0
        assert run_killed(context, out, 0, **options) > 0
        same_files(tmp_path / "whole", out)
        shutil.rmtree(out)


def test_small_runs_are_dealt_as_the_slow_tests_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "FLOOR", 8 << 20)
    assert small_run(tmp_path / "out", memory=8 << 20).run["groups"] == [["first"], ["second"]]
