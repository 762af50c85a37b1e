"""`fastdissect net2vec`: concepts as combinations of a layer's units."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fastdissect.cli import net2vec_asking as asking
from fastdissect.cli import net2vec_options as given
from fastdissect.cli import net2vec_training as training
from fastdissect.cli import reporting
from fastdissect.cli.cuts import Run
from fastdissect.cli.net2vec_tables import say, say_study, say_what
from fastdissect.cli.options import Traceback, Verbose

if TYPE_CHECKING:
    from fastdissect.datasets import Dataset
    from fastdissect.methods.net2vec import SegmentationSettings
    from fastdissect.methods.net2vec.classification_problem import ClassificationProblem
    from fastdissect.methods.net2vec.problem import Problem
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
    first_category: given.FirstCategory = False,
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
    them again; a call that was stopped goes on where it stopped. A folder holds one set: a call with other settings or
    concepts says so and replaces it at its end, with what --filters found; --out keeps both.

    \b
    Example:
      fastdissect net2vec out --layer layer4
      fastdissect net2vec out --layer layer4 --neighbours sky --arithmetic "grass + blue-c - green-c"
    """
    del verbose, traceback
    if classification:
        own = {"--loss": loss, "--positive": positive, "--bias": bias, "--first-category": first_category}
        for name, value in own.items():
            if value:
                raise typer.BadParameter(
                    "belongs to segmentation vectors; classification vectors have a loss and a bias of their own",
                    param_hint=f"'{name}'",
                )
    numbers, shown = asking.asked_filters(filters), asking.asked_names(concepts)

    from fastdissect.methods.chance import run_images
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
    name = training.chosen_layer(dissection, layer)
    units = dissection[name].units_count
    sizes = None if filters is None else asking.wanted_filters(numbers, units, kind)
    other = None if against is None else (against, find_vectors(against, name, kind))
    settings = None
    if not classification:
        settings = _settings(loss, epochs, positive, bias, first_category, seed)
    images = run_images(dissection, data)
    task = training.Training(
        _problem(dissection, name, images, settings, shown, epochs, seed),
        settings,
        str(checked_device(device)),
        out or vectors_folder(run, name, kind),
    )
    asking.check_asked(task.problem, neighbours or (), arithmetic or (), None if other is None else other[1])
    vectors, kept = training.train_vectors(task, say)
    counts = None if sizes is None else training.filter_counts(task, vectors, sizes)
    study = study_vectors(
        vectors, counts, queries=arithmetic or (), against=other, unlearned=all_concepts, seed=seed
    )
    say_what(study, f", found again in {task.folder}" if kept else "")
    say_study(study, neighbours or [])
    page = _page(study, run, dissection, images, task.folder / "page", shown or [], pictures)
    reporting.say_where(page)


def _settings(
    loss: str | None, epochs: int, positive: bool, bias: bool, first_category: bool, seed: int
) -> SegmentationSettings:
    from fastdissect.methods.net2vec import SegmentationSettings

    return SegmentationSettings(
        loss="linear" if loss is None else loss,
        epochs=epochs,
        positive=positive,
        bias=bias,
        first_category=first_category,
        seed=seed,
    )


def _problem(
    dissection: Dissection,
    layer: str,
    images: Dataset,
    settings: SegmentationSettings | None,
    concepts: list[str] | None,
    epochs: int,
    seed: int,
) -> Problem | ClassificationProblem:
    from fastdissect.methods.chance import planes_of, splits_of
    from fastdissect.methods.net2vec import ClassificationSettings, first_category_planes
    from fastdissect.methods.net2vec.classification_problem import make_classification
    from fastdissect.methods.net2vec.problem import make_problem
    from fastdissect.progress import progress_bar

    planes, train = planes_of(dissection, images), splits_of(images, dissection.image_names).train
    if settings is None:
        own = ClassificationSettings(epochs=epochs, seed=seed)
        return make_classification(dissection[layer], planes, train, own, concepts)
    if settings.first_category:
        with progress_bar("first categories", planes.images) as advance:
            planes = first_category_planes(images, planes, advance)
    return make_problem(dissection[layer], planes, train, settings, concepts)


def _page(
    study: VectorStudy,
    run: Path,
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
    numbers = [str(number) for number in vectors.numbers]
    named = [vectors.names[numbers.index(one)] if one in numbers else one for one in shown]
    trained = tuple(name for name in dict.fromkeys(named) if name in vectors.names)
    report = run / "report" / "index.html"  # each unit's entry leads there
    return write_net2vec_study(
        study,
        folder,
        dissection=dissection,
        shown=trained,
        images=source,
        report=report if report.is_file() else None,
    )
