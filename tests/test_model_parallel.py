"""Networks that are spread over processes: FSDP2 and tensor parallel give the files of the plain network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from model_parallel_cases import jobs
from rank_cases import end, start

pytestmark = pytest.mark.slow

REFUSED = {
    "directions": "'own': expected directions, or parts of channels, of a layer whose units lie in one process",
    "compile": "expected compile=False with a network that is spread over processes",
    "channels_last": "expected channels_last=False with a network whose weights are sharded over processes",
    "shard": "run dissect() in all of them together (torchrun), without a shard",
}
HIDDEN = "layer 'blocks.1.mlp.act': expected the same tensor in all 2 processes, or a DTensor"


Answers = dict[str, list[tuple[int, str]]]  # of each job: (code, what was said) of each process


def run(count: int, folder: Path, todo: dict[str, dict[str, Any]]) -> tuple[list[int], Answers]:
    """Run jobs in so many processes; these's exit codes, and the answers of those that came to their end."""
    options = [{"out": str(folder / name), **own} for name, own in todo.items()]
    answers = folder / f"answers-{count}-{len(list(folder.iterdir()))}"
    ended = end(start(folder, count, jobs, options, str(answers)))
    assert all(code in (0, 9) for code, _ in ended), ended
    said = [
        json.loads(answers.with_name(f"{answers.name}.{rank}").read_text())
        for rank, (code, _) in enumerate(ended)
        if code == 0
    ]
    return [code for code, _ in ended], {
        name: [(one[i][0], one[i][1]) for one in said] for i, name in enumerate(todo)
    }


def files_of(folder: Path) -> dict[str, bytes]:
    found = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    return {name: data for name, data in found.items() if name != "run.json"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of all runs: plain, fsdp-2, tp-3, ..."""
    return tmp_path_factory.mktemp("parallel")


@pytest.fixture(scope="module")
def broken(folder: Path) -> dict[str, tuple[list[int], Answers]]:
    """Runs of two processes, the second of which ends."""
    jobs: dict[str, dict[str, Any]] = {
        "fsdp-late": {"how": "fsdp", "dies": 1, "after": 0, "forgets": 1},  # the first is done already
        "fsdp-early": {"how": "fsdp", "dies": 1, "after": 2, "forgets": 0},  # the first begins again
        "tp-early": {"how": "tp", "dies": 1, "after": 3, "forgets": 0},
    }
    found = {name: run(2, folder, {name: options}) for name, options in jobs.items()}
    shutil.copytree(folder / "tp-early", folder / "tp-other")
    return found


@pytest.fixture(scope="module")
def two(folder: Path, broken: object) -> Answers:
    jobs: dict[str, dict[str, Any]] = {
        "fsdp-2": {"how": "fsdp", "trains": 1},
        "tp-2": {"how": "tp", "recorded": str(folder / "tp-2.pt")},
        "local-2": {"how": "tp, local outputs"},
        "thin-2": {"how": "tp", "layers": ["blocks.0.mlp.fc1", "gate"], "thresholds": 1},
        "spoilt": {"how": "tp", "layers": ["blocks.0.mlp.fc1"], "spoils": 1},
        "hidden-2": {"how": "tp, hidden parts"},
        "fsdp-late": {"how": "fsdp"},
        "fsdp-early": {"how": "fsdp"},
        "tp-early": {"how": "tp"},
        **{name: {"how": "tp" if name == "directions" else "fsdp", name: 1} for name in REFUSED},
    }
    jobs["again"] = {**jobs["fsdp-2"], "out": str(folder / "fsdp-2")}
    return run(2, folder, jobs)[1]


@pytest.fixture(scope="module")
def three(folder: Path, broken: object) -> Answers:
    jobs = {
        "fsdp-3": {"how": "fsdp"},
        "tp-3": {"how": "tp", "recorded": str(folder / "tp-3.pt")},
        "local-3": {"how": "tp, local outputs"},
        "tp-other": {"how": "tp"},
    }
    return run(3, folder, jobs)[1]


@pytest.fixture(scope="module")
def four(folder: Path) -> Answers:
    jobs = {"hsdp-4": {"how": "hsdp"}, "teams-4": {"how": "teams"}, "both-4": {"how": "fsdp and tp"}}
    return run(4, folder, jobs)[1]


@pytest.fixture(scope="module")
def alone(folder: Path, two: object, three: object) -> None:
    jobs: dict[str, dict[str, Any]] = {
        "plain": {"how": "plain"},
        "replay-2": {"how": "replay", "recorded": str(folder / "tp-2.pt")},
        "replay-3": {"how": "replay", "recorded": str(folder / "tp-3.pt")},
        "thin": {"how": "plain", "layers": ["blocks.0.mlp.fc1", "gate"], "thresholds": 1},
    }
    assert [answers[0][0] for answers in run(1, folder, jobs)[1].values()] == [0] * len(jobs)


def key_of(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "run.json").read_bytes())["key"])


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(("name", "count"), [("fsdp", 2), ("fsdp", 3), ("hsdp", 4)])
def test_fully_sharded_gives_the_files_of_the_plain_network(
    name: str, count: int, folder: Path, request: pytest.FixtureRequest
) -> None:
    """Nine batches: some processes have one more than others."""
    answers = request.getfixturevalue({2: "two", 3: "three", 4: "four"}[count])
    own = f"{name}-{count}"
    assert [code for code, _ in answers[own]] == [0] * count, answers[own]
    assert files_of(folder / own) == files_of(folder / "plain")
    assert key_of(folder / own) == key_of(folder / "plain")  # the digest of the weights above all


def test_a_network_that_was_dissected_can_be_trained(two: Answers) -> None:
    assert two["fsdp-2"] == [(0, "trained")] * 2
    assert two["again"] == [(0, "trained")] * 2  # it was complete


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("name", ["fsdp-late", "fsdp-early", "tp-early"])
def test_a_process_that_ends_is_run_again(
    name: str,
    folder: Path,
    broken: dict[str, tuple[list[int], Answers]],
    two: Answers,
) -> None:
    """Then they stand at different images, or one of them is done already."""
    codes, answers = broken[name]
    assert codes == [0, 9]
    assert answers[name][0][0] == 1
    assert "BackendError: " in answers[name][0][1]
    assert "expected all processes to" in answers[name][0][1]
    assert two[name] == [(0, "")] * 2
    whole = "plain" if name.startswith("fsdp") else "tp-2"
    assert files_of(folder / name) == files_of(folder / whole)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", ["tp", "local"])
def test_tensor_parallel_gives_the_files_of_its_very_activations(
    name: str, count: int, folder: Path, request: pytest.FixtureRequest
) -> None:
    """Its sums may have other last bits than the plain network's; what was computed is what is dissected."""
    answers = request.getfixturevalue({2: "two", 3: "three"}[count])
    own = f"{name}-{count}"
    assert [code for code, _ in answers[own]] == [0] * count, answers[own]
    assert files_of(folder / own) == files_of(folder / f"replay-{count}")
    assert key_of(folder / own)["weights"] == key_of(folder / "plain")["weights"]


@pytest.mark.usefixtures("two")
def test_teams_share_the_images(folder: Path, four: Answers) -> None:
    """Four processes: two teams of two, each with half of the images."""
    assert four["teams-4"] == [(0, "")] * 4
    assert files_of(folder / "teams-4") == files_of(folder / "tp-2")


@pytest.mark.usefixtures("alone")
def test_fewer_units_than_processes_and_given_thresholds(folder: Path, two: Answers) -> None:
    assert two["thin-2"] == [(0, "")] * 2
    found, wanted = files_of(folder / "thin-2"), files_of(folder / "thin")
    assert sorted(found) == sorted(wanted)
    name = "layers/blocks.0.mlp.fc1/counts.npz"
    assert found[name] == wanted[name]


def test_another_number_of_processes_is_refused(three: Answers) -> None:
    assert [code for code, _ in three["tp-other"]] == [1] * 3
    assert any(
        "holds units of a network that 2 process(es) run together; got 3" in text
        for _, text in three["tp-other"]
    )


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused(name: str, two: Answers) -> None:
    for code, text in two[name]:
        assert code == 1
        assert REFUSED[name] in text


def test_parts_that_nothing_tells_from_a_whole_are_refused(two: Answers) -> None:
    assert all(code == 1 and HIDDEN in text for code, text in two["hidden-2"]), two["hidden-2"]


def test_units_have_their_numbers_in_the_whole_layer(two: Answers) -> None:
    (_, first), (_, second) = two["spoilt"]
    assert "ActivationError: layer 'blocks.0.mlp.fc1', unit 5, image" in first
    assert "ActivationError: layer 'blocks.0.mlp.fc1', unit 20, image" in second


def test_both_ways_at_once_are_refused(four: Answers) -> None:
    for code, text in four["both-4"]:
        assert code == 1
        assert "FSDP2 together with tensor parallel is not supported" in text
