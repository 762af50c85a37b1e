"""`fastdissect net2vec`: concepts as combinations of a layer's units."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fastdissect.cli import net2vec_options as given
from fastdissect.cli import net2vec_training as training
from fastdissect.cli import reporting
from fastdissect.cli.cuts import Run
from fastdissect.cli.net2vec_tables import say_study, say_what
from fastdissect.cli.options import Traceback, Verbose
from fastdissect.cli.terminal import plain

if TYPE_CHECKING:
    from fastdissect.datasets import Dataset
    from fastdissect.methods.net2vec import ConceptVectors
    from fastdissect.methods.vectors import VectorStudy
    from fastdissect.results import Dissection

__all__ = ["net2vec"]


def net2vec(
    run: Run,
    layer: given.LayerName = None,
    concepts: given.Concepts = None,
    epochs: given.Epochs = 30,
    loss: given.Loss = None,
    positive: given.Positive = False,
    bias: given.Bias = False,
    classification: given.Classification = False,
    filters: given.Filters = None,
    neighbours: given.Neighbours = None,
    arithmetic: given.Arithmetic = None,
    against: given.Against = None,
    all_concepts: given.AllConcepts = False,
    pictures: given.Pictures = 5,
    seed: given.Seed = 0,
    data: given.Data = None,
    device: given.Device = "auto",
    out: given.Out = None,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Find each concept's combination of units: how many it needs, and which concepts are alike.

    Needs the run's activations and its data set's labels, not the network. The vectors are kept, and the same call finds
    them again; other settings or concepts replace them, unless --out names another folder.

    \b
    Example:
      fastdissect net2vec out --layer layer4
      fastdissect net2vec out --layer layer4 --neighbours sky --arithmetic "grass + blue-c - green-c"
    """
    del verbose, traceback
    if classification:
        for name, value in (("--loss", loss), ("--positive", positive), ("--bias", bias)):
            if value:
                raise typer.BadParameter(
                    "belongs to segmentation vectors; classification vectors have a loss and a bias of their own",
                    param_hint=f"'{name}'",
                )
    numbers = _numbers(filters)

    from fastdissect.methods.chance import planes_of, run_images, splits_of
    from fastdissect.methods.extras import need
    from fastdissect.methods.vectors import read_query, study_vectors
    from fastdissect.methods.vectors.kept import find_vectors, vectors_folder
    from fastdissect.results import load
    from fastdissect.settings import checked_device

    for library in ("matplotlib", "scipy", "sklearn", "threadpoolctl"):
        need(library)  # now, not after an hour of training
    for query in arithmetic or ():
        read_query(query)
    dissection, kind = load(run), "classification" if classification else "segmentation"
    name, shown = training.chosen_layer(dissection, layer), _names(concepts)
    other = None if against is None else (against, find_vectors(against, name, kind))
    images = run_images(dissection, data)
    task = training.Task(
        layer=dissection[name],
        planes=planes_of(dissection, images),
        train=splits_of(images, dissection.image_names).train,
        concepts=shown,
        device=str(checked_device(device)),
        folder=out or vectors_folder(run, name, kind),
    )
    vectors, kept = _vectors(task, kind, loss=loss, epochs=epochs, positive=positive, bias=bias, seed=seed)
    counts = None if filters is None else training.filter_counts(task, vectors, numbers)
    study = study_vectors(
        vectors, counts, queries=arithmetic or (), against=other, unlearned=all_concepts, seed=seed
    )
    say_what(study, f", found again in {task.folder}" if kept else "")
    say_study(study, neighbours or [])
    page = _page(study, dissection, images, task.folder / "page", shown or [], pictures)
    reporting.say_where(page)


def _vectors(
    task: training.Task, kind: str, *, loss: str | None, epochs: int, positive: bool, bias: bool, seed: int
) -> tuple[ConceptVectors, bool]:
    from fastdissect.methods.net2vec import ClassificationSettings, SegmentationSettings

    if kind == "classification":
        return training.classification(task, ClassificationSettings(epochs=epochs, seed=seed))
    settings = SegmentationSettings(
        loss=loss or "linear", epochs=epochs, positive=positive, bias=bias, seed=seed
    )
    return training.segmentation(task, settings)


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str | None) -> list[int] | None:
    """The list of --filters; None: the published one."""
    if text is None or text.strip() == "all":
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts):
        raise typer.BadParameter(
            f"expected numbers with commas, such as 1,2,4,8, or all; got {plain(text)!r}",
            param_hint="'--filters'",
        )
    return [int(part) for part in parts]


def _page(
    study: VectorStudy,
    dissection: Dissection,
    images: Dataset,
    folder: Path,
    shown: list[str],
    pictures: int,
) -> Path:
    from fastdissect.methods.vectors.predicted import predicted_masks
    from fastdissect.reports.studies.net2vec_concepts import ShownImages
    from fastdissect.reports.studies.net2vec_page import write_net2vec_study

    vectors, source = study.vectors, None
    if pictures and vectors.kind == "segmentation":
        source = ShownImages(images, predicted_masks(vectors, dissection[vectors.layer]), pictures)
    trained = tuple(name for name in shown if name in vectors.names)
    return write_net2vec_study(study, folder, dissection=dissection, shown=trained, images=source)
