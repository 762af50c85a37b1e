"""`fastdissect factorize --project OUT IMAGES...`: new images onto factors that were kept."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import typer

from fastdissect.cli.dissecting import use_threads
from fastdissect.cli.terminal import output, plain

__all__ = ["check_alone", "project_images"]

_TAKEN = ("what", "project", "model", "device", "threads", "verbose", "traceback")


def check_alone(context: typer.Context) -> None:
    """Refuse the options of a fit: the folder says what the fit was."""
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name not in _TAKEN and source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(
                "does not go with --project: network, layers and factors are those of the folder",
                param_hint=f"'{option.opts[0]}'",
            )


def project_images(
    context: typer.Context,
    folder: Path,
    images: list[str],
    model: str | None,
    device: str,
    threads: int | None,
) -> None:
    """Write OUT/projected.csv, and print each image's strongest factors.

    Raises:
        OutputError: the folder holds no factorisation. FastdissectError: as `transform_images`.
    """
    check_alone(context)
    if not images:
        raise typer.BadParameter("expected new images, files or folders; got none", param_hint="'IMAGES'")

    from fastdissect.cli.factorize_tables import say_projected
    from fastdissect.files import write_bytes
    from fastdissect.methods.factorization.factorizing_images import transform_images
    from fastdissect.methods.factorization.result import Factorization

    use_threads(threads)
    f = Factorization.load(folder)
    found = transform_images(f, images[0] if len(images) == 1 else images, model=model, device=device)
    say_projected(f, found)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["image", *(f"factor {r}" for r in range(found.mixtures.shape[1]))])
    for name, own in zip(found.names, found.mixtures.tolist(), strict=True):
        rows.writerow([name, *(f"{value:.6g}" for value in own)])
    path = folder / "projected.csv"
    write_bytes(path, text.getvalue().encode("utf-8", "surrogateescape"))
    output().print(f"Table: {plain(path)}", soft_wrap=True)
