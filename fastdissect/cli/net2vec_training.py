"""`fastdissect net2vec`: the vectors, found again where the same ones were kept, else trained and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdissect.errors import OutputError, SettingError

if TYPE_CHECKING:
    from fastdissect.methods.net2vec import ConceptVectors, FilterCounts
    from fastdissect.methods.net2vec.classification_problem import ClassificationProblem
    from fastdissect.methods.net2vec.problem import Problem
    from fastdissect.methods.net2vec.settings import SegmentationSettings
    from fastdissect.results import Dissection

__all__ = ["Training", "chosen_layer", "filter_counts", "train_vectors"]


@dataclass(frozen=True, eq=False)
class Training:
    """What is trained, how, and where it is kept."""

    problem: Problem | ClassificationProblem
    settings: SegmentationSettings | None  # None: classification, whose problem has its own
    device: str
    folder: Path

    @property
    def kind(self) -> str:
        return "classification" if self.settings is None else "segmentation"

    def record(self) -> dict[str, Any]:
        """What the kept vectors' record must have to be these."""
        import dataclasses

        settings = self.problem.settings if self.settings is None else self.settings  # type: ignore[union-attr]
        return {"settings": dataclasses.asdict(settings), "problem": self.problem.digest}


def chosen_layer(dissection: Dissection, name: str | None) -> str:
    """The layer that --layer names, or the run's only one.

    Raises:
        SettingError: the run has several. LayerError: it has none of this name.
    """
    if name is not None:
        return dissection[name].name
    if len(dissection) > 1:
        raise SettingError(f"expected --layer, one of {', '.join(dissection)}; got none")
    return next(iter(dissection))


def train_vectors(training: Training, tell: Callable[[str], None]) -> tuple[ConceptVectors, bool]:
    """Return the vectors, and whether they were there already.

    What was interrupted goes on where it stopped: until then the folder has a checkpoint.

    Args:
        tell: is told, before anything is trained, which vectors the new ones will replace.
    """
    from fastdissect.methods.net2vec.classification import train_classification
    from fastdissect.methods.net2vec.filter_counts_file import FILE
    from fastdissect.methods.net2vec.segmentation import train_segmentation
    from fastdissect.methods.vectors.kept import kept_vectors
    from fastdissect.progress import progress_bar

    record, problem, settings = training.record(), training.problem, training.settings
    found = kept_vectors(training.folder, training.kind, problem.layer.name, record)
    if found is not None:
        return found, True
    _check_folder(training.folder)
    older = _replaced(training, record)
    if older is not None:
        tell(older)
    checkpoint = _checkpoint(training, "training", record)
    if settings is None:
        with progress_bar("net2vec", len(problem)) as advance:
            vectors = train_classification(problem, progress=advance, checkpoint=checkpoint)  # type: ignore[arg-type]
    else:
        with progress_bar("net2vec", settings.epochs) as advance:
            vectors = train_segmentation(
                problem,  # type: ignore[arg-type]
                settings,
                device=training.device,
                progress=advance,
                checkpoint=checkpoint,
            )
    vectors.save(training.folder)
    if older is not None:
        (training.folder / FILE).unlink(missing_ok=True)
    checkpoint.unlink(missing_ok=True)
    return vectors, False


def filter_counts(training: Training, vectors: ConceptVectors, sizes: Sequence[int]) -> FilterCounts:
    """Scores with fewer filters: those that were trained before are found again, the others trained and kept."""
    from fastdissect.methods.net2vec.classification_filters import retrain_classification
    from fastdissect.methods.net2vec.top_filters import retrain_filters
    from fastdissect.methods.vectors.kept import kept_filter_counts
    from fastdissect.progress import progress_bar

    found = kept_filter_counts(training.folder, vectors)
    missing = [size for size in sizes if found is None or size not in found.filters]
    if found is not None and not missing:
        return found.only(sizes)
    record = {**training.record(), "filters": missing}
    checkpoint, problem, settings = (
        _checkpoint(training, "filters", record),
        training.problem,
        training.settings,
    )
    if settings is None:
        fewer = sum(size < vectors.units for size in missing)
        with progress_bar("filters", len(vectors) * fewer) as advance:
            fresh = retrain_classification(
                problem,  # type: ignore[arg-type]
                vectors,
                missing,
                progress=advance,
                checkpoint=checkpoint,
            )
    else:
        with progress_bar("filters", settings.epochs) as advance:
            fresh = retrain_filters(
                problem,  # type: ignore[arg-type]
                settings,
                vectors,
                missing,
                device=training.device,
                progress=advance,
                checkpoint=checkpoint,
            )
    found = fresh if found is None else found.joined(fresh)
    found.save(training.folder)
    checkpoint.unlink(missing_ok=True)
    return found.only(sizes)


def _check_folder(folder: Path) -> None:
    """Now, not after an hour of training."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: expected a folder for the vectors; got: {error.strerror or error}; choose another with --out"
        ) from error


def _replaced(training: Training, record: dict[str, Any]) -> str | None:
    """Which vectors lie there, and what they have otherwise."""
    if not (training.folder / "vectors.json").is_file():
        return None
    from fastdissect.methods.net2vec import ConceptVectors

    old = ConceptVectors.load(training.folder)
    given, new = old.record.get("settings"), record["settings"]
    others = []
    if (old.kind, old.layer) != (training.kind, training.problem.layer.name):
        others.append(f"{old.kind} vectors of layer {old.layer}")
    elif isinstance(given, dict):
        others += [f"{name} {given.get(name)}" for name in new if given.get(name) != new[name]]
    if old.record.get("problem") != record["problem"]:
        others.append("other concepts, images or split")
    return f"Replaces the vectors of {len(old):,} concepts in {training.folder} ({', '.join(others)}); --out keeps both."


def _checkpoint(training: Training, what: str, record: dict[str, Any]) -> Path:
    """A name of its own for what is trained: another training's checkpoint is no obstacle."""
    told = repr((sorted(record.items(), key=lambda item: item[0]), training.kind, training.device)).encode()
    return training.folder / f"{what}-{hashlib.blake2b(told, digest_size=4).hexdigest()}.safetensors"
