"""The drop-in for NetDissect-Lite on disk: settings, file names, what is used again, reports, cleaning."""

from __future__ import annotations

import json
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from netdissect_lite_cases import (
    LiteNet,
    PlainBroden,
    all_activations,
    assert_same_rows,
    lite_settings,
    read_csv,
    rewrite_index,
    tally_plainly,
)

import fastdissect as fd
from fastdissect.compat import netdissect_lite
from fastdissect.compat.netdissect_lite import FeatureOperator, clean, generate_html_summary, hook_feature
from fastdissect.datasets import open_dataset, write_broden
from fastdissect.errors import DataError, LayerError, OutputError, SettingError


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Packed masks are not kept in the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTDISSECT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def broden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lite") / "broden"
    return write_broden(open_dataset("shapes:images=40,size=48,seed=4"), folder)


class Counted(LiteNet):
    """Counts the images that it is run on."""

    def __init__(self) -> None:
        super().__init__()
        self.images = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.images += len(x)
        return super().forward(x)


def activations(out: Path) -> set[str]:
    return {path.parent.name for path in (out / "fastdissect").rglob("activations.safetensors")}


# settings


def test_settings_are_the_module_of_that_name(broden: Path, tmp_path: Path, monkeypatch: Any) -> None:
    module = types.ModuleType("settings")
    vars(module).update(vars(lite_settings(tmp_path, broden)))
    monkeypatch.setitem(sys.modules, "settings", module)
    assert FeatureOperator().data.size() == FeatureOperator(settings=module).data.size()
    monkeypatch.delitem(sys.modules, "settings")
    with pytest.raises(SettingError, match=r"settings.py to be importable.*FeatureOperator\(settings="):
        FeatureOperator()
    text = "".join(f"{name} = {value!r}\n" for name, value in vars(lite_settings(tmp_path, broden)).items())
    (tmp_path / "settings.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert FeatureOperator().data.directory == str(broden)
    monkeypatch.delitem(sys.modules, "settings")


SENSELESS = {
    "OUTPUT_FOLDER": "",
    "DATA_DIRECTORY": None,
    "INDEX_FILE": 3,
    "CATAGORIES": "object",
    "FEATURE_NAMES": ["late", "late"],
    "QUANTILE": 0.995,
    "BATCH_SIZE": 0,
    "IMG_SIZE": 224.0,
    "GPU": "cuda",
    "TOPN": True,
    "SCORE_THRESHOLD": 4,
}


@pytest.mark.parametrize("name", SENSELESS)
def test_a_name_that_is_missing_or_senseless(name: str, broden: Path, tmp_path: Path) -> None:
    given = lite_settings(tmp_path, broden)
    given.__file__ = "/somewhere/settings.py"
    setattr(given, name, SENSELESS[name])
    with pytest.raises(SettingError) as caught:
        FeatureOperator(given)
    assert str(caught.value).startswith(f"/somewhere/settings.py: {name} is {SENSELESS[name]!r}; expected ")
    assert f"for example {name} = " in str(caught.value)
    delattr(given, name)
    with pytest.raises(
        SettingError, match=f"settings.py: {name} is missing; expected .*, for example {name} = "
    ):
        FeatureOperator(given)


def test_all_that_is_wrong_is_said_at_once_and_a_near_name_is_named(broden: Path, tmp_path: Path) -> None:
    given = lite_settings(tmp_path, broden, CATEGORIES=["object"], TOPN=0)
    del given.CATAGORIES
    with pytest.raises(SettingError) as caught:
        FeatureOperator(given)
    assert "nearest: CATEGORIES" in str(caught.value)
    assert "TOPN is 0" in str(caught.value)


def test_names_that_lite_needs_and_we_do_not_are_not_asked_for(broden: Path, tmp_path: Path) -> None:
    given = lite_settings(tmp_path, broden)
    assert not hasattr(given, "PARALLEL")
    FeatureOperator(given)
    del given.INDEX_FILE
    with pytest.raises(SettingError, match="INDEX_FILE"):
        FeatureOperator(given)


@pytest.mark.parametrize(
    ("other", "error", "words"),
    [
        ({"CATAGORIES": ["object", "colour"]}, SettingError, "'colour', which .*nearest: color"),
        ({"INDEX_FILE": "index_sm.csv"}, DataError, r"index_sm\.csv"),
        ({"DATA_DIRECTORY": "nowhere"}, DataError, "nowhere is no folder"),
    ],
)
def test_data_that_is_not_there(
    other: dict[str, Any], error: type[Exception], words: str, broden: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        FeatureOperator(lite_settings(tmp_path, broden, **other))


def test_another_index_file(broden: Path, tmp_path: Path) -> None:
    rewrite_index(broden, lambda i, row: row.update(split="val" if i % 2 else "train"), to="index_sm.csv")
    lines = (broden / "index_sm.csv").read_text().splitlines(keepends=True)
    (broden / "index_sm.csv").write_text("".join(lines[:1] + lines[6:20]))
    fo = FeatureOperator(lite_settings(tmp_path, broden, INDEX_FILE="index_sm.csv"))
    plain = PlainBroden(broden, index="index_sm.csv")
    assert fo.data.size() == len(plain.rows) < 15
    assert fo.data.size("val") == sum(row["split"] == "val" for row in plain.rows)
    net = LiteNet().eval()
    (handle,), _ = fo.feature_extraction(model=net)
    cuts = fo.quantile_threshold(handle)
    maps = all_activations(net, plain, ["late"], 16)["late"]
    assert_same_rows(fo.tally(handle, cuts), tally_plainly(maps, plain, cuts).rows)


def test_images_of_several_sizes_are_refused_as_lites_batches_refuse_them(tmp_path: Path) -> None:
    folder = write_broden(open_dataset("shapes:images=12,size=48"), tmp_path / "broden")
    rewrite_index(folder, lambda i, row: row.update(sh=str(12), sw=str(12)) if i == 8 else None)
    with pytest.raises(DataError, match=r"one size \(ih, iw, sh, sw\)"):
        FeatureOperator(lite_settings(tmp_path / "out", folder))


# what FeatureOperator.data answers


def test_data_answers_what_scripts_ask(broden: Path, tmp_path: Path) -> None:
    data = FeatureOperator(lite_settings(tmp_path, broden, CATAGORIES=["part", "object", "scene"])).data
    plain = PlainBroden(broden, ["part", "object", "scene"])
    assert data.category_names() == ["object", "part", "scene"]  # category.csv's order
    assert data.size() == len(plain.rows)
    assert data.directory == str(broden)
    assert [data.split(i) for i in range(3)] == [row["split"] for row in plain.rows[:3]]
    assert data.label_size() == len(data.label) == plain.labels
    assert data.primary_categories_per_index().tolist() == plain.primary
    assert data.labelcat.argmax(1).tolist() == plain.primary
    assert (data.labelcat.sum(1) == 1).all()
    labels = {int(row["number"]): row for row in read_csv(broden / "label.csv")}
    for number, row in labels.items():
        assert data.name(None, number) == row["name"] == data.label[number]["name"]
        assert data.all_names(None, number)[0] == row["name"]
        assert data.frequency(None, number) == int(row["frequency"])
        assert data.coverage(None, number) == float(row["coverage"])
    assert data.name(None, 0) == ""
    for row in read_csv(broden / "c_object.csv"):
        code, number = int(row["code"]), int(row["number"])
        assert data.name("object", code) == row["name"]
        assert data.coverage("object", code) == float(row["coverage"])
        assert data.category_index_map("object")[number] == code
    assert data.label_size("object") == len(read_csv(broden / "c_object.csv")) + 1
    assert data.category_frequency("scene") == float(
        next(row["frequency"] for row in read_csv(broden / "category.csv") if row["name"] == "scene")
    )
    for i in range(len(plain.rows)):
        scalars, maps, size = plain.read(i)
        if maps is not None and len(data.image[i]["object"]) == 1:
            np.testing.assert_array_equal(data.segmentation_data("object", i, full=True), maps[0])
            codes = data.segmentation_data("object", i, c=5)
            np.testing.assert_array_equal(codes, data.category_index_map("object")[maps[0]])
        assert data.segmentation_data("scene", i, full=True).shape == size
        assert set(np.unique(data.segmentation_data("scene", i, full=True))) <= {0, *scalars}
    for ask in (lambda: data.filename(len(plain.rows)), lambda: data.split(-99)):
        with pytest.raises(IndexError, match=f"0 to {len(plain.rows) - 1}"):
            ask()
    with pytest.raises(SettingError, match="category of object, part, scene; got 'color'"):
        data.coverage("color", 1)


@pytest.mark.parametrize(
    ("what", "name", "words"),
    [
        ("module", "features_blobs", "does not offer .*: use the features that"),
        ("module", "QuantileVector", "use fastdissect.TopQuantile"),
        ("module", "nothing_like_it", "has no attribute"),
        ("module", "hook_features", "did you mean 'hook_feature'"),
        ("operator", "tally_job", "feature_extraction, quantile_threshold and tally"),
        ("data", "resolve_segmentation", "category_names.*fastdissect.datasets.Broden"),
    ],
)
def test_what_is_not_offered_names_what_is(
    what: str, name: str, words: str, broden: Path, tmp_path: Path
) -> None:
    fo = FeatureOperator(lite_settings(tmp_path, broden))
    of = {"module": netdissect_lite, "operator": fo, "data": fo.data}[what]
    with pytest.raises(AttributeError, match=words) as caught:
        getattr(of, name)
    assert name in str(caught.value)


def test_an_import_of_what_is_not_offered_says_so_too() -> None:
    with pytest.raises(ImportError, match=r"does not offer 'QuantileVector': use fastdissect\.TopQuantile"):
        from fastdissect.compat.netdissect_lite import QuantileVector  # noqa: F401


@pytest.mark.parametrize(("name", "value"), [("OUTPUT_FOLDER", "a\0b"), ("BATCH_SIZE", 10**20)])
def test_settings_that_no_system_takes(name: str, value: Any, broden: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=f"{name} is .*; expected "):
        FeatureOperator(lite_settings(tmp_path, broden, **{name: value}))


def test_names_of_labels_that_there_are_not(broden: Path, tmp_path: Path) -> None:
    data = FeatureOperator(lite_settings(tmp_path, broden)).data
    last = len(data.label) - 1
    for ask in (data.name, data.all_names, data.frequency, data.coverage):
        with pytest.raises(IndexError, match=f"a label number from 0 to {last}; got {last + 1}"):
            ask(None, last + 1)
        with pytest.raises(IndexError, match="a code of 'object' from 0 to"):
            ask("object", 999)
    first = data.segmentation_data("object", 0)
    np.testing.assert_array_equal(data.segmentation_data("object", 0, c=-99), first)


def test_a_category_without_labels(tmp_path: Path) -> None:
    folder = write_broden(open_dataset("shapes:images=8,size=24"), tmp_path / "data")
    table = folder / "c_object.csv"
    table.write_bytes(table.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(DataError, match=r"c_object\.csv: expected a row a label"):
        FeatureOperator(lite_settings(tmp_path, folder))


# one run, its files, and using it again


def test_a_finished_run_is_used_again_and_another_one_never(broden: Path, tmp_path: Path) -> None:
    given, net = lite_settings(tmp_path, broden), Counted().eval()
    first = FeatureOperator(given)
    (handle,), _ = first.feature_extraction(model=net)
    count = net.images
    assert count >= first.data.size()
    (again,), _ = FeatureOperator(given).feature_extraction(model=net)
    assert net.images == count
    np.testing.assert_array_equal(again.thresholds, handle.thresholds)
    given.QUANTILE = 0.01
    with pytest.raises(
        OutputError, match=r"differs in profile.*another OUTPUT_FOLDER, or FeatureOperator\(fresh=True\)"
    ):
        FeatureOperator(given).feature_extraction(model=net)
    (other,), _ = FeatureOperator(given, fresh=True).feature_extraction(model=net)
    assert (other.thresholds <= handle.thresholds).all()
    assert (other.thresholds < handle.thresholds).any()
    assert fd.load(tmp_path / "fastdissect.1")["late"].thresholds.tolist() == handle.thresholds.tolist()


def test_other_weights_are_another_run(broden: Path, tmp_path: Path) -> None:
    given, net = lite_settings(tmp_path, broden), LiteNet().eval()
    FeatureOperator(given).feature_extraction(model=net)
    with torch.no_grad():
        net.late[0].bias[0] += 1
    with pytest.raises(OutputError, match="differs in weights"):
        FeatureOperator(given).feature_extraction(model=net)


def test_an_old_file_is_never_read(broden: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "quantile.npy", np.zeros(14))
    (tmp_path / "tally.csv").write_text("unit\n1\n")
    fo = FeatureOperator(lite_settings(tmp_path, broden))
    (handle,), _ = fo.feature_extraction(model=LiteNet().eval())
    cuts = fo.quantile_threshold(handle, savepath="quantile.npy")
    rows = fo.tally(handle, cuts, savepath="tally.csv")
    np.testing.assert_array_equal(np.load(tmp_path / "quantile.npy"), handle.thresholds.astype(np.float64))
    stored = read_csv(tmp_path / "tally.csv")
    assert list(stored[0]) == list(rows[0])
    assert [{k: str(v) for k, v in row.items()} for row in rows] == stored
    assert list(rows[0])[:4] == ["unit", "category", "label", "score"]
    assert list(rows[0])[4:9] == [f"color-{x}" for x in ("label", "truth", "activation", "intersect", "iou")]
    assert sorted(row["unit"] for row in rows) == list(range(1, 15))
    assert fd.read_tally(tmp_path / "tally.csv").best_scores.max() == rows[0]["score"]


def test_layers_have_files_of_their_own(broden: Path, tmp_path: Path) -> None:
    fo = FeatureOperator(lite_settings(tmp_path, broden, FEATURE_NAMES=["late", "early"]))
    features, maxima = fo.feature_extraction(model=LiteNet().eval(), memmap=False)
    assert [handle.name for handle in features] == ["late", "early"]  # the settings' order
    assert [len(m[0]) for m in maxima] == [14, 10]
    for handle in features:
        cuts = fo.quantile_threshold(handle, "quantile.npy")
        fo.tally(handle, cuts, "tally.csv")
    for handle in features:
        own = tmp_path / handle.name
        np.testing.assert_array_equal(np.load(own / "quantile.npy"), handle.thresholds)
        assert len(read_csv(own / "tally.csv")) == handle.shape[1]
    assert not (tmp_path / "quantile.npy").exists()
    arrays = [handle[:] for handle in features]
    fo.quantile_threshold(arrays[0], "own.npy")
    fo.quantile_threshold(arrays[0], "own.npy")  # the same ones may be written again
    with pytest.raises(OutputError, match=r"own.npy was written for other features; give each"):
        fo.quantile_threshold(arrays[1], "own.npy")


def test_what_is_no_model_or_no_layer(broden: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"expected model=, a torch.nn.Module.*got NoneType"):
        FeatureOperator(lite_settings(tmp_path, broden)).feature_extraction()
    with pytest.raises(LayerError, match="unknown layer 'latest'; nearest: late"):
        FeatureOperator(lite_settings(tmp_path, broden, FEATURE_NAMES=["latest"])).feature_extraction(
            LiteNet()
        )
    with pytest.raises(LayerError, match="single layers; '\\*' is a pattern of 3"):
        FeatureOperator(lite_settings(tmp_path, broden, FEATURE_NAMES=["*"])).feature_extraction(LiteNet())
    assert not (tmp_path / "fastdissect").exists()


def test_a_network_that_gives_nan_is_an_error_and_no_endless_loop(broden: Path, tmp_path: Path) -> None:
    net = LiteNet().eval()
    with torch.no_grad():
        net.late[0].bias[3] = float("nan")
    with pytest.raises(
        fd.FastdissectError, match=r"layer 'late', unit 3, image shapes/\S+: expected a finite"
    ):
        FeatureOperator(lite_settings(tmp_path, broden)).feature_extraction(model=net)


def test_the_hook_costs_nothing_and_changes_nothing() -> None:
    net = LiteNet().eval()
    x = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = net(x)
        net.late.register_forward_hook(hook_feature)
        assert torch.equal(net(x), before)


# reports and cleaning


@pytest.fixture
def done(broden: Path, tmp_path: Path) -> SimpleNamespace:
    given = lite_settings(tmp_path, broden, FEATURE_NAMES=["early", "late"])
    net = Counted().eval()
    fo = FeatureOperator(given)
    features, maxima = fo.feature_extraction(model=net)
    return SimpleNamespace(fo=fo, features=features, maxima=maxima, net=net, out=tmp_path, given=given)


def report(done: SimpleNamespace, i: int, **other: Any) -> str:
    """Write the report as main.py does; returns the page's link."""
    name, handle = done.given.FEATURE_NAMES[i], done.features[i]
    cuts = done.fo.quantile_threshold(handle)
    passed = {
        "tally_result": done.fo.tally(handle, cuts),
        "maxfeature": done.maxima[i],
        "features": handle,
        "thresholds": cuts,
    }
    generate_html_summary(done.fo.data, name, **{**passed, **other})
    page = (done.out / "html" / f"{name}.html").read_text()
    return page.partition('href="')[2].partition('"')[0]


def test_the_report_lies_where_lite_puts_it(done: SimpleNamespace) -> None:
    for i, name in enumerate(("early", "late")):
        assert report(done, i) == f"{name}/index.html"
        assert (done.out / "html" / name / "index.html").is_file()
        drawn = list((done.out / "html" / name / "images" / name).glob("*.jpg"))
        assert len(drawn) == done.features[i].shape[1]
    assert not list((done.out / "html" / "early" / "images").glob("late"))


def test_the_report_shows_the_thresholds_that_were_given(done: SimpleNamespace) -> None:
    cuts = done.features[1].thresholds * np.float32(1.2) + np.float32(0.1)
    rows = done.fo.tally(done.features[1], cuts)
    generate_html_summary(done.fo.data, "late", features=done.features[1], thresholds=cuts, tally_result=rows)
    data = (done.out / "html" / "late" / "data" / "layer-0.js").read_bytes()
    own = report(done, 1)
    assert own == "late/index.html"
    assert (done.out / "html" / "late" / "data" / "layer-0.js").read_bytes() != data


def test_the_report_of_the_last_extraction_and_of_an_array(done: SimpleNamespace) -> None:
    report(done, 1)
    folder = done.out / "html" / "late"
    first = (folder / "data" / "layer-0.js").read_bytes()
    generate_html_summary(done.fo.data, "late")
    assert (folder / "data" / "layer-0.js").read_bytes() == first
    maps = done.features[1][:]  # cells that were not retained differ, and matter to nothing
    generate_html_summary(done.fo.data, "late", features=maps, maxfeature=maps.max((2, 3)))
    assert (folder / "index.html").is_file()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"maxfeature": np.zeros((3, 14))}, r"maxfeature \[images, units\]"),
        ({"tally_result": [{"unit": 1, "score": 0.5}]}, "of these very features and thresholds"),
        ({"tally_result": [{"unit": "x"}]}, "of these very features and thresholds"),
        ({"thresholds": np.zeros(14)}, "of these very features and thresholds"),
        ({"imsize": 0}, "imsize in pixels"),
    ],
)
def test_a_report_of_things_that_do_not_go_together(done: SimpleNamespace, other: Any, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        report(done, 1, **other)


def test_a_report_of_nothing(broden: Path, tmp_path: Path) -> None:
    fo = FeatureOperator(lite_settings(tmp_path, broden))
    with pytest.raises(SettingError, match=r"feature_extraction has run \(none so far\); got 'late'"):
        generate_html_summary(fo.data, "late")
    with pytest.raises(SettingError, match=r"expected ds=fo\.data"):
        generate_html_summary(fo, "late")  # type: ignore[arg-type]


@pytest.mark.parametrize("argument", [{"imscale": 50}, {"gridwidth": 4}, {"gap": 1}, {"limit": 7}])
def test_a_layout_that_the_page_has_not_is_a_warning(done: SimpleNamespace, argument: Any) -> None:
    with pytest.warns(UserWarning, match=f"{next(iter(argument))}=.* has no effect"):
        report(done, 1, **argument)


def test_cleaning_inside_the_loop_leaves_later_layers_whole(done: SimpleNamespace) -> None:
    tables = {}
    for i, name in enumerate(("early", "late")):
        report(done, i)
        tables[name] = done.fo.tally(done.features[i], done.features[i].thresholds)
        clean()
        assert activations(done.out) == ({"late"} if i == 0 else set())
    stored = fd.load(done.out / "fastdissect")
    assert list(stored) == ["early", "late"]
    assert stored["late"].activations is None
    np.testing.assert_array_equal(stored["late"].thresholds, done.features[1].thresholds)
    assert (done.out / "html" / "late" / "index.html").is_file()
    clean()  # nothing is left to do
    before = done.net.images
    fo = FeatureOperator(done.given)
    features, _ = fo.feature_extraction(model=done.net)  # needs the activations: the network runs again
    assert done.net.images > before
    for handle in features:
        assert fo.tally(handle, handle.thresholds) == tables[handle.name]


def test_cleaning_in_another_process_takes_all(done: SimpleNamespace) -> None:
    import gc

    given, out = done.given, done.out
    assert activations(out) == {"early", "late"}
    for name in ("fo", "features", "maxima"):
        delattr(done, name)
    gc.collect()
    clean(given)
    assert activations(out) == set()
    assert [layer.activations for layer in fd.load(out / "fastdissect").values()] == [None, None]


def test_cleaning_where_nothing_was_run(broden: Path, tmp_path: Path) -> None:
    given = lite_settings(tmp_path, broden)
    clean(given)
    (tmp_path / "fastdissect").mkdir()
    for text in ("{", "[]", json.dumps({"files": {"layers": {"late": {}}}})):
        (tmp_path / "fastdissect" / "run.json").write_text(text)
        with pytest.raises(OutputError, match=r"run\.json is damaged"):
            clean(given)


def test_no_warning_by_itself(done: SimpleNamespace) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report(done, 1)
