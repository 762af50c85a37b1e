"""Names of classes, one of them, and the true class of every image."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastdissect.datasets import open_dataset
from fastdissect.datasets.shapes.vocabulary import CLASSES, CONCEPTS
from fastdissect.errors import DataError, SettingError
from fastdissect.methods.classes import (
    class_columns,
    class_names,
    decision_classes,
    find_class,
    predictions,
    targets_of,
)
from fastdissect.models import load_model


def test_names_are_given_or_stated_or_numbers() -> None:
    stated = SimpleNamespace(classes=["a", "b"])
    assert class_names(stated, 2) == ("a", "b")
    assert class_names(stated, 2, ["c", "d"]) == ("c", "d")
    assert class_names(stated, 3) == ("class 0", "class 1", "class 2")  # it does not speak of these outputs
    assert class_names(SimpleNamespace(config=SimpleNamespace(id2label={0: "x", 1: "y"})), 2) == ("x", "y")
    assert class_names(SimpleNamespace(config=SimpleNamespace(id2label={1: "x", 2: "y"})), 2) == (
        "class 0",
        "class 1",
    )


def test_the_built_in_network_tells_concepts_and_decides_among_classes() -> None:
    module = load_model("builtin:shapes").module
    names = class_names(module, len(CONCEPTS))
    assert names == CONCEPTS.names
    among = decision_classes(module, names)
    assert {names[n] for n in among} == set(CLASSES)
    assert decision_classes(module, names, ["sky"]).tolist() == [names.index("sky")]


@pytest.mark.parametrize("wrong", [["a"], ["a", "b", "c"], "ab", ["a", ""], ["a", 1]])
def test_other_names_than_outputs_are_refused(wrong: list[str]) -> None:
    with pytest.raises(SettingError, match="expected"):
        class_names(None, 2, wrong)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=12, unique=True), st.data())
def test_every_class_is_found_by_its_name_and_number(names: list[str], data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(names) - 1))
    assert find_class(names[number], names) == number
    assert find_class(number, names) == number
    assert find_class(np.int64(number), names) == number


def test_a_name_goes_before_a_number() -> None:
    assert find_class("0", ["1", "0"]) == 1
    assert find_class("1", ["a", "b"]) == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kitchn", "nearest: kitchen"),
        ("", "unknown class"),
        (3, "expected a class of 0 to 2"),
        (-1, "expected a class of 0 to 2"),
        ("7", "expected a class of 0 to 2"),
        ("²", "unknown class"),
        (True, "expected a class's name or number; got bool"),
        (1.0, "got float"),
        ("twin", "expected one class; 2 are called 'twin': give one of the numbers 1, 2"),
    ],
)
def test_an_unknown_class_is_refused(name: object, words: str) -> None:
    with pytest.raises(SettingError) as caught:
        find_class(name, ["kitchen", "twin", "twin"])
    assert words in str(caught.value)


def test_targets_of_the_built_in_set_are_found_by_name() -> None:
    data = open_dataset("shapes:images=30,size=16")
    found = targets_of(data, 30, CONCEPTS.names)
    assert found.dtype == np.int64
    assert [CONCEPTS.names[t] for t in found] == [CLASSES[data.target(i)] for i in range(30)]  # type: ignore[attr-defined]
    assert np.array_equal(targets_of(data, 7, CONCEPTS.names), found[:7])


def test_targets_go_by_number_where_classes_have_no_names() -> None:
    data = open_dataset("shapes:images=10,size=16")
    nameless = class_names(None, len(CLASSES))
    assert targets_of(data, 10, nameless).tolist() == [data.target(i) for i in range(10)]  # type: ignore[attr-defined]
    with pytest.raises(SettingError, match="none of its 16 classes is one of the network's 3"):
        targets_of(data, 10, class_names(None, 3))


def test_a_class_that_the_network_has_not_is_unknown() -> None:
    data = open_dataset("shapes:images=30,size=16")
    names = (CLASSES[2], "else")
    column = class_columns(data, names)
    assert column[2] == 0
    assert (np.delete(column, 2) == -1).all()
    expected = [0 if data.target(i) == 2 else -1 for i in range(30)]  # type: ignore[attr-defined]
    assert targets_of(data, 30, names).tolist() == expected


def test_targets_can_be_given() -> None:
    data = open_dataset("shapes:images=3,size=16")
    names = ("cat", "dog")
    for given_ in (["dog", "cat", -1], np.array([1, 0, -1]), torch.tensor([1, 0, -1]), [1, 0, -1]):
        assert targets_of(data, 3, names, given_).tolist() == [1, 0, -1]
    assert targets_of(data, 3, names, {data.image_name(2): "dog"}).tolist() == [-1, -1, 1]


@pytest.mark.parametrize("wrong", [[0, 1], 5, [0, 1, 2], ["cat", "dog", "cow"], [0.5, 1, 0]])
def test_wrong_targets_are_refused(wrong: object) -> None:
    with pytest.raises(SettingError):
        targets_of(open_dataset("shapes:images=3,size=16"), 3, ("cat", "dog"), wrong)  # type: ignore[arg-type]


def test_targets_of_images_that_there_are_not_are_refused() -> None:
    with pytest.raises(DataError, match=r"no image 'shapes/0_00000009\.png'; nearest"):
        targets_of(open_dataset("shapes:images=3,size=16"), 3, ("cat",), {"shapes/0_00000009.png": 0})


def test_a_decision_is_among_the_classes_that_were_named() -> None:
    names = ("a", "b", "c")
    logits = np.array([[3.0, 1.0, 2.0], [0.0, 5.0, 5.0]])
    assert predictions(logits, decision_classes(None, names)).tolist() == [0, 1]
    assert predictions(logits, decision_classes(None, names, ["c", "b", "c"])).tolist() == [2, 1]
    for wrong in ([], "a", ["d"]):
        with pytest.raises(SettingError):
            decision_classes(None, names, wrong)
