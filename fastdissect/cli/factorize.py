"""`fastdissect factorize`: latent factors of images, pixels and neurons, without any label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fastdissect.cli import factorize_options as given
from fastdissect.cli.dissecting import use_threads
from fastdissect.cli.factorize_parsing import (
    checked_arguments,
    parse_items,
    parse_pools,
    parse_rank,
    parse_ranks,
    parse_side,
)
from fastdissect.cli.options import Traceback, Verbose, check_layout, parse_tokens
from fastdissect.cli.pairs import read_pairs
from fastdissect.cli.reporting import say_where
from fastdissect.cli.terminal import output, plain

if TYPE_CHECKING:
    from fastdissect.methods.factorization.factorizing_kept import FactorizationStudy
    from fastdissect.methods.factorization.gathering_plan import Gathering
    from fastdissect.methods.factorization.settings import FactorizationSettings

__all__ = ["factorize"]


def factorize(
    context: typer.Context,
    what: given.What,
    layers: given.Layers = None,
    rank: given.Rank = "20",
    out: given.Out = None,
    project: given.Project = None,
    ranks: given.Ranks = None,
    penalty: given.Penalty = "elastic-net",
    faithful: given.Faithful = False,
    restarts: given.Restarts = 1,
    settings: given.Settings = None,
    seed: given.Seed = 0,
    pool: given.Pool = None,
    pixels: given.Pixels = "32",
    rectify: given.Rectify = False,
    perturb: given.Perturb = None,
    classes: given.Classes = None,
    masks: given.Masks = True,
    images: given.Images = None,
    size: given.Size = None,
    layout: given.Layout = "auto",
    tokens: given.Tokens = None,
    model: given.NetworkGiven = None,
    device: given.Device = "auto",
    batch_size: given.BatchSize = 32,
    workers: given.Workers = None,
    threads: given.Threads = None,
    matrices: given.Matrices = None,
    pictures: given.Pictures = True,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Find what a network has learned without any label: factors that images, pixels and neurons share.

    Saini and Papalexakis (2021). A folder of images is enough; classes and masks are read where there are some. The factors
    are kept, and the same command finds them again; other settings replace them, unless --out names another folder.

    \b
    Example:
      fastdissect factorize torchvision:resnet18 folder:photos --layers layer3,layer4 --rank 20 --out factors
      fastdissect factorize builtin:shapes shapes --layers conv5 --pool full --perturb noise --rank auto --out factors
      fastdissect factorize --project factors new-photos/
    """
    del verbose, traceback  # their callbacks have seen them
    if project is not None:
        from fastdissect.cli.factorize_projecting import project_images

        project_images(context, project, what, model, device, threads)
        return
    network, data, names, folder = checked_arguments(what, layers, out, model)
    check_layout(layout)
    grid, tried = parse_tokens(tokens), parse_ranks(ranks)
    wanted = parse_rank(rank)
    options: dict[str, Any] = {
        "pool": parse_pools(pool or []),
        "pixels": parse_side(pixels),
        "rectify": rectify,
        "perturb": perturb or [],
        "masks": masks,
        "images": images,
        "size": size,
        "layout": layout,
        "batch_size": batch_size,
        "workers": workers,
        "seed": seed,
        "device": device,
        "classes": None if classes is None else read_pairs(classes, "image", "class"),
    }

    from fastdissect.methods.extras import need
    from fastdissect.methods.factorization.gathering_opening import open_gathering
    from fastdissect.methods.factorization.settings import FactorizationSettings
    from fastdissect.models import TokenGrid
    from fastdissect.reports.studies.free import check_study_folder

    for library in ("matplotlib", "scipy", "sklearn"):  # said before the work, not after it
        need(library)
    chosen = FactorizationSettings(
        penalty=penalty, faithful=faithful, restarts=restarts, seed=seed, **parse_items(settings or [])
    )
    check_study_folder(folder / "page")
    use_threads(threads)
    opened = open_gathering(
        network, data, names, tokens=None if grid is None else TokenGrid(*grid), **options
    )
    study = _study(opened, chosen, wanted, tried, folder, matrices)
    say_where(_page(study, opened, folder / "page", pictures))


def _study(
    opened: Gathering,
    settings: FactorizationSettings,
    rank: int | str,
    ranks: list[int] | None,
    folder: Path,
    matrices: Path | None,
) -> FactorizationStudy:
    """The one that was kept, else found now and kept."""
    from fastdissect.cli.factorize_tables import say_study
    from fastdissect.methods.factorization.factorizing import check_ranks, factorize_gathered
    from fastdissect.methods.factorization.factorizing_kept import kept_study, study_key
    from fastdissect.methods.factorization.gathering import gather

    check_ranks(rank, ranks, opened.examples)
    key = study_key(opened, settings, rank, ranks)
    found = kept_study(folder, key)
    if found is not None:
        say_study(found, f", found again in {folder}")
        return found
    say = output()
    place = "temporary files" if matrices is None else str(matrices)
    say.print(
        plain(
            f"Gathering {opened.examples:,} examples of {len(opened.shapes)} matrices: {opened.bytes / 1e6:,.0f} MB in {place}"
        ),
        soft_wrap=True,
    )
    with gather(opened, matrices) as gathered:
        found = factorize_gathered(gathered, settings, rank=rank, ranks=ranks, device=str(opened.device))
        found.save(folder, key)
    say_study(found, "")
    return found


def _page(study: FactorizationStudy, opened: Gathering, folder: Path, pictures: bool) -> Path:
    from fastdissect.methods.factorization.gathering_pictures import example_pictures
    from fastdissect.reports.studies.factorization_page import write_factorization_study

    own = study.examples
    return write_factorization_study(
        study.factorization,
        folder,
        images=example_pictures(opened) if pictures else None,
        curve=study.curve,
        **labels_of(study),
        correct=own.correct,
    )


def labels_of(study: FactorizationStudy) -> dict[str, Any]:
    """What is known of the examples, as `read_factorization` takes it."""
    own = study.examples
    found: dict[str, Any] = {
        name: None if table is None else (table.numbers, table.names)
        for name, table in (
            ("classes", own.classes),
            ("superclasses", own.superclasses),
            ("groups", own.groups),
        )
    }
    known = own.concepts is not None and own.shares is not None
    return {**found, "concepts": (own.shares, own.concepts.names) if known else None}  # type: ignore[union-attr]
