"""`export()`: a finished run as another program's files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from fastdissect.datasets.labelled import without_unlabelled
from fastdissect.datasets.protocol import Dataset
from fastdissect.errors import SettingError, nearest
from fastdissect.exporting import clip_dissect, dissect, milan, netdissect, netdissect_lite
from fastdissect.exporting.destination import new_folder
from fastdissect.exporting.jobs import Format, Job
from fastdissect.exporting.pictures import check_pictures
from fastdissect.results import Dissection, load

__all__ = ["FORMATS", "export", "find_format"]

FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        found.name: found
        for found in (
            Format("netdissect-lite", netdissect_lite.write),
            Format("netdissect", netdissect.write),
            Format("dissect", dissect.write, "optional", top=5, size=(100, 100)),
            Format("clip-dissect", clip_dissect.write),
            Format("milan", milan.write, "required", top=15),
        )
    }
)


def find_format(name: str) -> Format:
    """Return a format by name.

    Raises:
        SettingError: there is none of that name; the message lists what there is.
    """
    if name not in FORMATS:
        raise SettingError(
            f"expected a format of {', '.join(FORMATS)}; got {name!r}{nearest(str(name), FORMATS)}"
        )
    return FORMATS[name]


def export(
    run: Dissection | str | Path,
    destination: str | Path,
    format: str,
    *,
    layers: Sequence[str] | None = None,
    dataset: Dataset | None = None,
    top: int | None = None,
    size: tuple[int, int] | None = None,
    fresh: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write a run as files that another program of the field reads.

    Args:
        run: the results, or the folder of a finished run.
        destination: a folder, empty or not there; it appears whole when everything is written.
        format: "netdissect-lite", "netdissect", "dissect" (davidbau/dissect), "clip-dissect" or "milan".
            Unit numbers are the peer's: from 1 in NetDissect's and NetDissect-Lite's tables, from 0 elsewhere.
        layers: only these, by name; in their order.
        dataset: the run's own data set, for formats with pictures: required for "milan"; without it "dissect"
            leaves its pictures out. The tables do not need it.
        top: pictures a unit; as the peer does if not given (milan 15, dissect 5).
        size: height and width of a picture (milan 224 x 224, dissect 100 x 100). Images are resized without
            cropping. Where the masks are of another size they are upsampled to this one.
        fresh: move an earlier export at `destination` to DESTINATION.1 instead of refusing.
        progress: called with the number of units drawn and their total.

    Returns:
        The files, in the order in which they were written.

    Raises:
        SettingError: no such format; a number outside what is possible; no data set, or another one than the
            run's, where pictures are required; a run without activations.
        LayerError: the run has no such layer; the message lists the nearest.
        OutputError: the run cannot be read; the destination holds something, or cannot be written.

    Example:
        >>> import fastdissect as fd
        >>> fd.export("out", "lite", "netdissect-lite")    # doctest: +SKIP
        [PosixPath('lite/layer4/tally.csv'), PosixPath('lite/layer4/quantile.npy')]
    """
    chosen = find_format(format)
    dissection = run if isinstance(run, Dissection) else load(run)
    if isinstance(layers, str):
        raise SettingError(f"expected a list of layer names; got the text {layers!r}; write [{layers!r}]")
    names = list(dissection) if layers is None else list(dict.fromkeys(layers))
    found = [dissection[name] for name in names]
    if not found:
        raise SettingError(f"expected at least one layer of {', '.join(dissection)}; got none")
    dataset = None if chosen.pictures == "none" else dataset
    if dataset is None:
        _refuse_pictures(chosen, dissection, top, size)
    top = chosen.top if top is None else top
    size = chosen.size if size is None else size
    if dataset is not None:
        if dissection.profile.unlabelled == "removed":  # images are numbered as in the run
            dataset = without_unlabelled(dataset)
        advice = "choose other layers"
        if chosen.pictures == "optional":
            advice = "leave the pictures out with --data none (dataset=None)"
        check_pictures(found, len(dissection.image_names), top, size, advice)
    destination = Path(destination).absolute()
    with new_folder(destination, fresh) as folder:
        job = Job(dissection, found, folder, dataset, top, size, progress or _silent)
        written = chosen.write(job)
    return [destination / path.relative_to(folder) for path in written]


def _refuse_pictures(
    chosen: Format, dissection: Dissection, top: int | None, size: tuple[int, int] | None
) -> None:
    """Without a data set there are no pictures: an error where they are required or were asked for."""
    if chosen.pictures == "required":
        raise SettingError(
            f"format {chosen.name!r} holds the images themselves: expected the run's data set; got none; give it "
            f"with --data (dataset=); the run's was {str(dissection.run.get('data', 'not recorded'))!r}"
        )
    if top is not None or size is not None:
        why = "has no pictures" if chosen.pictures == "none" else "has no pictures without a data set"
        raise SettingError(f"format {chosen.name!r} {why}: leave out --top and --size (top=, size=)")


def _silent(_done: int, _total: int) -> None:
    pass
