"""The sections of the page of a coupled factorisation that follow its gallery."""

from __future__ import annotations

import numpy as np

from fastdissect.methods.factorization.reading import Reading
from fastdissect.reports.studies.factorization_bars import mixture_figure, sample
from fastdissect.reports.studies.factorization_figures import accuracy_figure, profile_figure, spectrum_figure
from fastdissect.reports.studies.factorization_gallery import Images
from fastdissect.reports.studies.factorization_loadings import loadings_figure
from fastdissect.reports.studies.factorization_tables import agreement_table, class_tables
from fastdissect.reports.studies.page import Section, Table

__all__ = ["examples_section", "gallery_words", "impurity_section", "labelled_sections", "layers_section"]


def gallery_words(reading: Reading, shown: int) -> str:
    """The words above the gallery; `shown` factors are in it."""
    live = reading.factorization.mixtures.shape[1] - len(reading.dead)
    words = (
        "Weight: the factor's share of all mixtures. A latent image has the factor's pixels, each channel scaled to its "
        "maximum; a masked copy keeps a picture's pixels where the latent image exceeds its median, channel by channel. A unit "
        "is a factor's alone where its share of the unit's loadings is 1 (neurons.csv)."
    )
    if reading.profiles:
        words += " A factor is named after the class or concept that has twice its part of the data in it, or more."
    for what, profile in reading.profiles.items():
        if profile.present < 2:
            words += f" There is but one {what}: every profile is trivial (purity 1, entropy 0), and none is drawn."
    if shown < live:
        words += f" The {shown} strongest of {live} live factors are shown below; the tables have all."
    return words


def labelled_sections(reading: Reading) -> list[Section]:
    """A section for each profile: classes, super-classes, groups, concepts."""
    sections: list[Section] = []
    for what, profile in reading.profiles.items():
        if not profile.present:
            sections.append(Section(f"By {what}", f"No example has a {what}."))
            continue
        unknown = f" {profile.unknown:,} examples of unknown {what} are left out." if profile.unknown else ""
        terms = (
            "Purity is the largest weight of a profile (our term); entropy is in nats. "
            if not sections
            else ""
        )
        words = (
            f"{terms}A factor covers a {what} where its weight is at least 1 / {profile.present:,}, {profile.present:,} being those that have examples. "
            f"{profile.present - len(profile.uncovered):,} of {profile.present:,} are covered by a factor.{unknown}"
        )
        figure = [profile_figure(profile)] if len(profile.live) and profile.present > 1 else []
        sections.append(Section(f"By {what}", words, [*figure, *class_tables(reading, profile)]))
    return sections


def examples_section(reading: Reading, images: Images | None) -> Section:
    """Examples as mixtures."""
    chosen, how = sample(reading)
    return Section(
        "Examples as mixtures", "", [mixture_figure(reading, chosen, how, images)] if len(chosen) else []
    )


def impurity_section(reading: Reading) -> list[Section]:
    """The impurity of the neighbourhoods; none where it was not taken."""
    if reading.impurity is None:
        return []
    own = reading.impurity
    by = "class" if reading.classes is not None else "factor"
    words = (
        f"The {own.neighbours:,} nearest examples of each example (as many as there are examples a {by}, on average), in the "
        f"space of the factors; the entropy of their strongest factors, in bits. Median {np.median(own.entropy):.2f}, from {own.entropy.min():.2f} to {own.entropy.max():.2f}."
    )
    figure = accuracy_figure(reading)
    return [Section("Impurity of the neighbourhood", words, [] if figure is None else [figure])]


def layers_section(reading: Reading) -> Section:
    """Spectrum, agreement, neurons by factor."""
    words = (
        "Eigenvalue against layer, sorted (the released code takes them as they come). Agreement of two matrices (our "
        "formulation): the correlation of their cosines over all pairs of factors; 1 where both let the same factors share "
        "features. Features by factor: each neuron or pixel is counted where its loading is largest, columns at unit length."
    )
    loadings = loadings_figure(reading)
    return Section("Layers", words, [
        *([] if loadings is None else [loadings]), spectrum_figure(reading), *agreement_table(reading),
        Table.of(reading.groupings, "Features by factor.", csv="groupings"),
    ])  # fmt: skip
