"""Segmenters of transformers: their labels against what the networks themselves give, computed the plain way."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from segmenter_cases import (
    COLOURS,
    SQUARE,
    bert_tokenizer,
    clip_tokenizer,
    clipseg,
    grounding_dino,
    mask2former,
    oneformer,
    patches,
    sam,
    save,
    segformer,
    trained_segformer,
    transformers,
    write_images,
)

import fastdissect as fd
from fastdissect.datasets import check_dataset, write_broden
from fastdissect.datasets.resize import resize_image
from fastdissect.datasets.segmented.dataset import Segmented
from fastdissect.datasets.segmented.opening import open_segmenter
from fastdissect.datasets.segmented.options import SegmenterOptions
from fastdissect.datasets.segmented.queries import Queries
from fastdissect.datasets.segmented.semantic import best_labels
from fastdissect.errors import BackendError, DataError, ModelError, SettingError
from fastdissect.types import LabelChannel

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)
IMAGES = patches(5)[0][:, :48]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SegFormer that knows four colours."""
    return save(trained_segformer(), tmp_path_factory.mktemp("segmenter") / "segformer")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("images"), IMAGES)


def logits_of(network: Any, image: Any, size: tuple[int, int] = (48, 64)) -> torch.Tensor:
    """[labels, *size], of one image."""
    pixels = torch.from_numpy(resize_image(image, (32, 32))).permute(2, 0, 1)[None]
    with torch.inference_mode():
        logits = network(pixel_values=(pixels.float() / 255 - 0.5) / 0.5).logits
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)[0]


def test_semantic_labels_are_the_greatest_logits(known: Path, photographs: Path) -> None:
    network = transformers().SegformerForSemanticSegmentation.from_pretrained(known).eval()
    data = Segmented(str(known), photographs, batch=1)
    for index, image in enumerate(IMAGES):
        (channel,) = data.read_labels(index)
        expected = logits_of(network, image).argmax(0).numpy() + 1
        assert channel.labels.dtype == np.uint16
        np.testing.assert_array_equal(channel.labels, expected)
    assert data.concepts.names == tuple(COLOURS)
    assert data.concepts.categories == ("object",)


def test_the_trained_segmenter_knows_its_colours(known: Path, photographs: Path) -> None:
    """What the tests below rest on."""
    found = np.stack([c.labels for i in range(5) for c in Segmented(known, photographs).read_labels(i)])
    assert (found == patches(5)[1][:, :48] + 1).mean() > 0.9


def test_a_cut_leaves_unsure_pixels_without_label(known: Path, photographs: Path) -> None:
    network = transformers().SegformerForSemanticSegmentation.from_pretrained(known).eval()
    (channel,) = Segmented(known, photographs, batch=1, cut=0.8).read_labels(2)
    chances = logits_of(network, IMAGES[2]).softmax(0)
    expected = np.where(chances.max(0).values.numpy() > 0.8, chances.argmax(0).numpy() + 1, 0)
    np.testing.assert_array_equal(channel.labels, expected)
    assert 0 < (expected == 0).mean() < 1


def test_void_labels_are_none(known: Path, photographs: Path) -> None:
    whole, fewer = Segmented(known, photographs), Segmented(known, photographs, void="green; grey")
    assert fewer.concepts.names == ("red", "blue")
    assert fewer.concepts.numbers.tolist() == [1, 3]
    before, after = whole.read_labels(1)[0].labels, fewer.read_labels(1)[0].labels
    np.testing.assert_array_equal(after, np.where(np.isin(before, [1, 3]), before, 0))


def test_ties_go_to_the_first_label() -> None:
    scores = torch.tensor([[0.2, 0.5], [0.7, 0.5], [0.7, 0.1]])[:, None]
    concepts = SimpleNamespace(numbers=np.array([1, 2, 3]))
    assert best_labels(scores, concepts, None).labels.tolist() == [[2, 1]]
    assert best_labels(scores, concepts, 0.5).labels.tolist() == [[2, 0]]


def test_images_of_several_sizes_in_one_block(known: Path) -> None:
    segmenter = open_segmenter(str(known))
    small = resize_image(IMAGES[0], (20, 30))
    prepared = [segmenter.prepare(image) for image in (IMAGES[1], small, IMAGES[2])]
    assert {p.shape for p in prepared} == {(32, 32, 3)}
    found = segmenter.segment(prepared, [(48, 64), (20, 30), (10, 10)])
    assert [c.labels.shape for (c,) in found] == [(48, 64), (20, 30), (10, 10)]


def test_a_segmenter_that_dissects_itself_finds_its_own_classes(known: Path, tmp_path: Path) -> None:
    """Unit k of the layer of logits is highest where label k is: all four, in one pass, by name."""
    folder = write_images(tmp_path / "images", patches(40, seed=5)[0])
    spec = f"segmenter:{known}?batch=10,images={folder}"
    d = fd.dissect(
        f"transformers:{known}",
        spec,
        "decode_head.classifier",
        quantile=0.1,
        batch_size=16,
        out=tmp_path / "out",
    )
    units = d["decode_head.classifier"].units().set_index("unit")
    assert units["label"].to_dict() == dict(enumerate(COLOURS))
    assert (units["iou"] > 0.2).all()
    assert fd.load(tmp_path / "out").run["data"] == spec


def test_photographs_from_end_to_end(known: Path, tmp_path: Path) -> None:
    """The sample photographs that scikit-image brings: sizes from 300 x 384 to 512 x 512, grey ones among them."""
    skimage = pytest.importorskip("skimage")
    names = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "camera.png", "color.png")
    for name in names:
        shutil.copy(Path(skimage.__file__).parent / "data" / name, tmp_path)
    data = Segmented(known, tmp_path)
    astronaut, photographer = data.read_labels(0)[0].labels, data.read_labels(1)[0].labels
    assert astronaut.shape == (256, 256)
    assert astronaut[140, 60] == 1  # the orange suit
    assert np.bincount(photographer.ravel()).argmax() == 4  # a grey photograph
    assert check_dataset(data).ok
    d = fd.dissect(
        f"transformers:{known}", data, "decode_head.classifier", size=64, quantile=0.05, cache=None
    )
    assert d["decode_head.classifier"].shape == (6, 4, 16, 16)


def test_a_cached_label_set_holds_the_same_labels(known: Path, photographs: Path, tmp_path: Path) -> None:
    """Written to a folder once, the labels need the segmenter no more."""
    data = Segmented(known, photographs)
    write_broden(data, tmp_path / "broden", mask_scale=1.0)
    copy = fd.datasets.open_dataset(f"broden:{tmp_path / 'broden'}")
    assert copy.concepts.names == data.concepts.names
    order = [Path(copy.image_name(i)).name for i in range(len(copy))]
    for index in range(len(data)):
        (channel,) = copy.read_labels(order.index(data.image_name(index)))
        np.testing.assert_array_equal(channel.labels, data.read_labels(index)[0].labels)


def test_its_name_opens_it_again(known: Path, photographs: Path) -> None:
    data = Segmented(known, photographs, cut=0.25, void="grey", batch=2, side=40, category="colour")
    again = fd.datasets.open_dataset(data.name)
    assert again.fingerprint() == data.fingerprint()
    assert again.concepts.categories == ("colour",)
    assert Segmented(known, photographs).fingerprint() != data.fingerprint()


def test_what_run_json_can_say(known: Path, photographs: Path) -> None:
    record = Segmented(known, photographs, cut=0.25).record()["segmenter"]
    assert json.loads(json.dumps(record)) == record
    assert record["class"] == "SegformerForSemanticSegmentation"
    assert record["options"]["cut"] == 0.25
    assert record["processor"]["size"] == {"height": 32, "width": 32}
    assert record["threads"] == torch.get_num_threads()
    copy = pickle.loads(pickle.dumps(Segmented(known, photographs)))  # as a worker that was spawned gets it
    assert copy.segmenter._network is None
    assert copy.prepare(IMAGES[0]).pixels.shape == (32, 32, 3)
    other = save(segformer(), known.parent / "untrained")
    assert Segmented(other, photographs).record()["segmenter"]["weights"] != record["weights"]


# --- queries: planted outputs, read by hand ---


def planted(task: str, chances: Any, masks: Any, cut: float | None = None) -> list[list[list[int]]]:
    """Label maps of three labels, from chances [queries, 4] (the last is "nothing") and masks [queries, 1, width]."""
    config = SimpleNamespace(id2label={0: "a", 1: "b", 2: "c"}, to_dict=dict)
    own = Queries("planted", "Mask2Former", config, None, SegmenterOptions(cut=cut, task=task))
    masks = torch.tensor(masks)[:, None]
    found = own._read(torch.tensor(chances)[:, :-1], masks, (1, masks.shape[-1]))
    return [channel.labels.tolist()[0] for channel in found]


CHANCES = [[0.9, 0.0, 0.0, 0.1], [0.0, 0.8, 0.1, 0.1], [0.0, 0.3, 0.3, 0.4]]
MASKS = [[1.0, 1.0, 0.9, 0.0, 0.0], [0.0, 0.0, 0.7, 1.0, 0.1], [0.0, 0.0, 0.0, 0.0, 1.0]]


def test_queries_share_the_pixels_by_their_sum() -> None:
    # pixel 4: b has 0.8 * 0.1 + 0.3, c 0.1 * 0.1 + 0.3
    assert planted("semantic", CHANCES, MASKS) == [[1, 1, 1, 2, 2]]
    assert planted("semantic", CHANCES, MASKS, cut=0.5) == [[1, 1, 1, 2, 0]]


def test_panoptic_segments_do_not_overlap() -> None:
    # pixel 2 goes to the first query, 0.81 to 0.56; where nothing is strong the strongest has it, as the paper does
    assert planted("panoptic", CHANCES, MASKS) == [[1, 1, 1, 2, 2]]
    # now the second keeps one of its two pixels (0.56 and 0.8), less than 0.8 of them, and is dropped
    less = [[*MASKS[0][:4], 0.1], [*MASKS[1][:4], 0.0], MASKS[2]]
    assert planted("panoptic", CHANCES, less) == [[1, 1, 1, 0, 1]]
    assert planted("panoptic", CHANCES, MASKS, cut=0.95) == [[0, 0, 0, 0, 0]]


def test_instances_overlap_in_several_channels() -> None:
    # scores: 0.9 * (2.9 / 3) = 0.87, 0.8 * 0.85 = 0.68; the third is below the cut
    assert planted("instance", CHANCES, MASKS) == [[1, 1, 1, 0, 0], [0, 0, 2, 2, 0]]
    assert planted("instance", CHANCES, MASKS, cut=0.7) == [[1, 1, 1, 0, 0]]
    same = [CHANCES[0], [0.7, 0.0, 0.2, 0.1], CHANCES[2]]  # two instances of one label share a channel
    assert planted("instance", same, MASKS) == [[1, 1, 1, 1, 0]]


@pytest.mark.parametrize("kind", ["Mask2Former", "MaskFormer"])
def test_query_networks_run(kind: str, tmp_path: Path, photographs: Path) -> None:
    network = mask2former(kind)
    settings = {**SQUARE, "size": {"shortest_edge": 32, "longest_edge": 64}, "size_divisor": 16}
    folder = save(network, tmp_path / kind, settings)
    data = Segmented(folder, photographs, batch=1)
    assert data.prepare(IMAGES[0]).pixels.shape == (32, 48, 3)
    pixels = torch.from_numpy(resize_image(IMAGES[0], (32, 48))).permute(2, 0, 1)[None]
    with torch.inference_mode():
        out = network(pixel_values=pixels.float() / 127.5 - 1)
    masks = F.interpolate(out.masks_queries_logits, size=(48, 64), mode="bilinear", align_corners=False)
    scores = (out.class_queries_logits.softmax(-1)[0, :, :-1, None, None] * masks.sigmoid()[0, :, None]).sum(
        0
    )
    (channel,) = data.read_labels(0)
    assert (channel.labels == scores.argmax(0).numpy() + 1).mean() > 0.99  # sums in another order
    for task in ("panoptic", "instance"):
        channels = Segmented(folder, photographs, task=task, cut=0.2).read_labels(0)
        assert all(isinstance(c, LabelChannel) and c.labels.shape == (48, 64) for c in channels)


def test_oneformer_is_told_its_task(tmp_path: Path, photographs: Path) -> None:
    network = oneformer()
    folder = save(network, tmp_path / "oneformer")
    clip_tokenizer(folder, ["the", "task", "is", "semantic", "panoptic"], 8)
    pixels = torch.from_numpy(resize_image(IMAGES[0], (32, 32))).permute(2, 0, 1)[None].float() / 127.5 - 1
    for task, word in (("semantic", 4), ("panoptic", 5)):
        data = Segmented(folder, photographs, task=task, batch=1, cut=0.0)
        tokens = torch.tensor([[98, 1, 2, 3, word, 99, 0, 0]])
        with torch.inference_mode():
            out = network(pixel_values=pixels, task_inputs=tokens)
        seen = []
        data.segmenter.network.register_forward_hook(lambda _m, _a, given, seen=seen: seen.append(given))
        data.read_labels(0)
        torch.testing.assert_close(seen[0].masks_queries_logits, out.masks_queries_logits)


# --- open vocabulary ---


def test_clipseg_gives_a_channel_for_each_prompt(tmp_path: Path, photographs: Path) -> None:
    network = clipseg()
    folder = save(network, tmp_path / "clipseg")
    clip_tokenizer(folder, ["red", "square", "a"], 8)
    data = Segmented(folder, photographs, prompts="red; a square", batch=2, cut=0.4)
    assert data.concepts.names == ("red", "a square")
    tokens = {"red": [98, 1, 99, 0], "a square": [98, 3, 2, 99]}
    pixels = torch.from_numpy(resize_image(IMAGES[3], (32, 32))).permute(2, 0, 1)[None].float() / 127.5 - 1
    for number, (channel, ids) in enumerate(zip(data.read_labels(3), tokens.values(), strict=True), 1):
        with torch.inference_mode():
            mask = torch.tensor([[int(i > 0) for i in ids]])
            logits = network(pixel_values=pixels, input_ids=torch.tensor([ids]), attention_mask=mask).logits
        resized = F.interpolate(logits.reshape(1, 1, 32, 32), size=(48, 64), mode="bilinear")[0, 0]
        expected = (resized.sigmoid() > 0.4).numpy() * number
        assert (channel.labels == expected).mean() > 0.99  # in a batch of two
    with pytest.raises(SettingError, match="expected prompts, such as prompts=cat;dog"):
        Segmented(folder, photographs)
    with pytest.raises(SettingError, match="each once"):
        Segmented(folder, photographs, prompts="cat;cat")


def test_grounding_dino_and_sam(tmp_path: Path, photographs: Path) -> None:
    sized = {**SQUARE, "size": {"height": 96, "width": 128}}
    detector = save(grounding_dino(), tmp_path / "dino", sized)
    bert_tokenizer(detector, ["red", "square", "a"], 16)
    drawer = save(sam(), tmp_path / "sam", {**SQUARE, "size": {"longest_edge": 64}})
    given = {"prompts": "red;a square", "masks": str(drawer)}
    data = Segmented(detector, photographs, cut=0.01, **given)
    text = data.segmenter._tokens()
    assert text.inputs["input_ids"].tolist() == [[101, 2000, 1012, 2002, 2001, 1012, 102]]
    assert text.tokens == [[1], [3, 4]]
    channels = data.read_labels(0)
    assert all(c.labels.shape == (48, 64) and set(np.unique(c.labels)) <= {0, 1, 2} for c in channels)
    assert any(c.labels.any() for c in channels)
    assert len(Segmented(detector, photographs, cut=1, **given).read_labels(0)) == 1
    assert data.fingerprint() != Segmented(detector, photographs, cut=0.02, **given).fingerprint()
    with pytest.raises(SettingError, match="expected masks=MODEL"):
        Segmented(detector, photographs, prompts="red")
    with pytest.raises(SettingError, match="reads at most 16"):
        Segmented(detector, photographs, masks=str(drawer), prompts="a;" + " a" * 20).read_labels(0)


# --- bad input ---


def test_bad_models(known: Path, photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected a model in a folder.*download=yes"):
        Segmented("nobody/nothing", photographs)
    library = transformers()
    config = library.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    classifier = save(library.ViTForImageClassification(config), tmp_path / "classifier")
    with pytest.raises(ModelError, match=r"expected a model that segments.*got ViTForImageClassification"):
        Segmented(classifier, photographs)
    bare = save(segformer(), tmp_path / "bare")
    (bare / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"expected preprocessor_config\.json"):
        Segmented(bare, photographs)
    (bare / "preprocessor_config.json").write_text('{"size": 32}')
    with pytest.raises(ModelError, match="image_mean"):
        Segmented(bare, photographs)
    save(segformer().segformer, tmp_path / "headless")
    found = json.loads((tmp_path / "headless" / "config.json").read_text())
    found["architectures"] = ["SegformerForSemanticSegmentation"]
    (tmp_path / "headless" / "config.json").write_text(json.dumps(found))
    with pytest.raises(ModelError, match=r"expected all weights.*missing.*decode_head"):
        Segmented(tmp_path / "headless", photographs).read_labels(0)
    found = json.loads((bare / "config.json").read_text())
    found["id2label"] = {str(i): f"label {i}" for i in range(65_536)}
    (bare / "config.json").write_text(json.dumps(found))
    (bare / "preprocessor_config.json").write_text(json.dumps(SQUARE))
    with pytest.raises(DataError, match=r"at most 65,535 labels.*65,536"):
        Segmented(bare, photographs)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("half", "expected SegformerForSemanticSegmentation.*restore config.json and the weights"),
        ("empty", "expected SegformerForSemanticSegmentation.*restore"),
        ("none", "restore config.json and the weights"),
        ("shape", "expected all weights.*of another shape, such as decode_head"),
        ("labels", "2 are missing or of another shape, such as decode_head.classifier.bias"),
        ("negative", "expected SegformerForSemanticSegmentation.*negative dimension"),
        ("words", "hidden_sizes.*restore"),
    ],
)
def test_damaged_models(known: Path, photographs: Path, tmp_path: Path, damage: str, message: str) -> None:
    folder = Path(shutil.copytree(known, tmp_path / "model"))
    weights = folder / "model.safetensors"
    config = json.loads((folder / "config.json").read_text())
    whole = weights.read_bytes()
    config |= {
        "shape": {"decoder_hidden_size": 24},
        "labels": {"id2label": {str(i): str(i) for i in range(9)}},
        "negative": {"hidden_sizes": [-3, 8]},
        "words": {"hidden_sizes": "large"},
    }.get(damage, {})
    (folder / "config.json").write_text(json.dumps(config))
    if damage in ("half", "empty"):
        weights.write_bytes(whole[: len(whole) // 2 if damage == "half" else 0])
    if damage == "none":
        weights.unlink()
    with pytest.raises(ModelError, match=message):
        Segmented(folder, photographs).read_labels(0)


def test_nan_is_no_label(known: Path, photographs: Path, tmp_path: Path) -> None:
    network = transformers().SegformerForSemanticSegmentation.from_pretrained(known)
    with torch.no_grad():
        network.decode_head.classifier.weight[0] = torch.nan
    folder = save(network, tmp_path / "nan")
    with pytest.raises(DataError, match="expected numbers as scores; got NaN"):
        Segmented(folder, photographs).read_labels(0)


def test_sizes_have_limits(known: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(known, tmp_path / "model"))
    settings = folder / "preprocessor_config.json"
    settings.write_text(json.dumps({**SQUARE, "size": {"height": 10**9, "width": 10**9}}))
    with pytest.raises(ModelError, match="its processor settings cannot be read"):
        open_segmenter(str(folder))
    settings.write_text(json.dumps({**SQUARE, "size": {"shortest_edge": 800}}))
    thin = np.zeros((1, 5000, 3), np.uint8)
    with pytest.raises(DataError, match=r"1 x 5000 pixels becomes 800 x 4000000.*longest_edge"):
        open_segmenter(str(folder)).prepare(thin)
    with pytest.raises(ModelError, match="expected a model's folder; got a file"):
        open_segmenter(str(folder / "config.json"))


def test_bad_options(known: Path, photographs: Path) -> None:
    for options, message in (
        ({"cut": 1.5}, "cut is 1.5; expected a confidence from 0 to 1"),
        ({"cut": -0.1}, "cut is -0.1"),
        ({"task": "semantics"}, "nearest: semantic"),
        ({"task": "panoptic"}, "has no option task"),
        ({"prompts": "cat"}, "has no option prompts"),
        ({"void": "purple"}, "void is 'purple'; expected a label"),
        ({"void": ";".join(COLOURS)}, "void leaves no label"),
        ({"category": ""}, "category is empty"),
    ):
        with pytest.raises(SettingError, match=message):
            Segmented(known, photographs, **options)
    for device in ("gpu", "meta"):
        with pytest.raises(SettingError, match=f"device is '{device}'"):
            Segmented(known, photographs, device=device).read_labels(0)


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch, photographs: Path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(BackendError, match=r"pip install 'fastdissect\[transformers\]'"):
        Segmented("anything", photographs)
