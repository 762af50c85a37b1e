"""`factorize()`: gather, choose the rank, factorise."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastdissect.errors import SettingError
from fastdissect.methods.factorization.factorizing_kept import FactorizationStudy, RankChoice
from fastdissect.methods.factorization.gathering import Gathered, gather
from fastdissect.methods.factorization.gathering_opening import open_gathering
from fastdissect.methods.factorization.rank_curve import rank_curve
from fastdissect.methods.factorization.restarts import factorize_matrices
from fastdissect.methods.factorization.result import Factorization
from fastdissect.methods.factorization.settings import FactorizationSettings
from fastdissect.progress import progress_bar

__all__ = ["check_ranks", "factorize", "factorize_gathered", "tried_ranks"]

RANKS = (5, 10, 15, 20, 30)
"""Ranks that "auto" tries, those that the examples allow."""
_RESTARTS = 5  # of each rank tried: enough to see which factors are found again


def factorize(
    model: Any,
    data: Any,
    layers: str | Sequence[str],
    *,
    rank: int | str | None = None,
    ranks: Sequence[int] | None = None,
    settings: FactorizationSettings | None = None,
    device: str = "auto",
    folder: str | Path | None = None,
    progress: bool | None = None,
    **gathering: Any,
) -> Factorization:
    """Find latent factors that images, pixels and the neurons of layers share: no label is needed.

    Args:
        model, data, layers: as in `dissect`; a `folder:` of images alone will do.
        rank: number of factors, or "auto": chosen from the curve of fit and stability over `ranks`. None: the settings'
            (20).
        ranks: what "auto" tries; default: 5, 10, 15, 20 and 30, below the number of examples.
        settings: penalties, rule, iterations, restarts, seed.
        device: of the forward pass and of the updates.
        folder: where the gathered matrices are kept and found again; default: temporary.
        gathering: `pool`, `pixels`, `rectify`, `perturb`, `size`, `images`, ...: as in `gather_matrices`.

    Returns:
        Factorization: mixtures of the examples, loadings of pixels and neurons, history, record.

    Raises:
        ActivationError: a negative activation (`rectify=True` takes max(x, 0)), NaN or infinity.
        SettingError: more factors than examples, and whatever else cannot be. OutputError: the disk is full.

    Example:
        >>> f = factorize("builtin:shapes", "shapes:images=500", "conv5", rank=10)         # doctest: +SKIP
        >>> f.mixtures.shape, f["conv5"].values.shape                                      # doctest: +SKIP
        ((500, 10), (96, 10))

    Source: Saini and Papalexakis 2021, "Analyzing Representations inside Convolutional Neural Networks".
    """
    chosen = settings or FactorizationSettings()
    opened = open_gathering(model, data, layers, device=device, **{"seed": chosen.seed, **gathering})
    check_ranks(rank if rank is not None else chosen.rank, ranks, opened.examples)
    with gather(opened, folder, progress) as gathered:
        study = factorize_gathered(
            gathered, chosen, rank=rank, ranks=ranks, device=str(opened.device), progress=progress
        )
    return study.factorization


def factorize_gathered(
    gathered: Gathered,
    settings: FactorizationSettings,
    *,
    rank: int | str | None = None,
    ranks: Sequence[int] | None = None,
    device: str = "cpu",
    progress: bool | None = None,
) -> FactorizationStudy:
    """Factorise gathered matrices; see `factorize`. Ranks that were asked for are tried under any rank."""
    wanted = settings.rank if rank is None else rank
    check_ranks(wanted, ranks, len(gathered.examples))
    choice, found = None, None
    names = gathered.example_names
    if wanted == "auto" or ranks is not None:
        tried, restarts = tried_ranks(ranks, len(names)), max(_RESTARTS, settings.restarts)
        total = len(tried) * restarts * (settings.most_iterations + 1)
        with progress_bar("ranks", total, show=progress) as advance:
            curve = rank_curve(
                gathered.matrices,
                tried,
                settings,
                restarts=restarts,
                example_names=names,
                device=device,
                progress=advance,
            )
        choice = RankChoice(curve.table, curve.rank, curve.why)
        found = curve.factorization if wanted == "auto" else None
    if found is None:
        settings = dataclasses.replace(settings, rank=int(wanted))
        total = settings.restarts * (settings.most_iterations + 1)
        with progress_bar("factorising", total, show=progress) as advance:
            found = factorize_matrices(
                gathered.matrices, settings, example_names=names, device=device, progress=advance
            )
    found = dataclasses.replace(found, record={**found.record, **gathered.record})
    return FactorizationStudy(found, gathered.examples, choice)


def tried_ranks(ranks: Sequence[int] | None, examples: int) -> tuple[int, ...]:
    """Those that were asked for, or `RANKS` below the number of examples."""
    return tuple(ranks) if ranks is not None else tuple(r for r in RANKS if r < examples) or (1,)


def check_ranks(rank: int | str, ranks: Sequence[int] | None, examples: int) -> None:
    """Refuse, before the pass, ranks that cannot be.

    Raises:
        SettingError: no whole number of at least 1, or more factors than examples.
    """
    for one in ([] if rank == "auto" else [rank]) + list(ranks if ranks is not None else ()):
        if isinstance(one, bool) or not isinstance(one, int) or one < 1:
            raise SettingError(f'expected a rank of 1 or more, or "auto"; got {one!r}')
        if one > examples:
            raise SettingError(
                f"expected at most as many factors as examples, {examples:,}; got rank {one:,}; take more images, or a "
                "lower rank"
            )
    if ranks is not None and not len(ranks):
        raise SettingError("expected ranks to try; got none")
