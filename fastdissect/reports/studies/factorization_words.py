"""The words of the page of a coupled factorisation."""

from __future__ import annotations

from fastdissect.methods.factorization.factor_overlap import Coherence
from fastdissect.methods.factorization.reading import Reading
from fastdissect.reports.studies.figures import printable

__all__ = ["HOW", "coherence_words", "example_name", "factor_title", "factor_words", "list_words", "short"]

_NAMED = 2.0

HOW = (
    "Nothing but activations and pixels was used to find these factors: no label, no mask. Each example is a mixture of "
    "factors; each factor has an image of its own, neurons in every layer, and weights on the examples. They are found "
    "together: the weights on the examples are the same for the pixels and for all layers.\n\n"
    "A mixture is in one scale for all factors: the weight times the length of the factor's loadings over all matrices. Names "
    "of classes and concepts, where there are any, were looked at afterwards."
)


def short(name: object, longest: int = 24) -> str:
    """A name as a figure can hold it."""
    text = printable(name)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def example_name(reading: Reading, example: int, longest: int = 18) -> str:
    """The end of an example's name: its folders are the same for many."""
    names = reading.factorization.example_names
    text = printable(names[example].rsplit("/", 1)[-1]) if names else str(example)
    return text if len(text) <= longest else f"…{text[1 - longest :]}"


def list_words(names: list[str], most: int = 8) -> str:
    """Names in a row, and how many more there are.

    >>> list_words(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def factor_title(reading: Reading, factor: int) -> str:
    """The factor's number, and the class or concept that names it: one with twice its part of the data, or more."""
    for what, profile in reading.profiles.items():
        if profile.present < 2 or not profile.weights[factor].any():
            continue
        if what == "concept" and reading.lift is not None:
            own = reading.lift[reading.lift["factor"] == factor].iloc[0]
            name, weight = own["concept"], f"{own['lift']:.1f}x"
            named = own["lift"] >= _NAMED
        else:
            first = int(profile.weights[factor].argmax())
            part = profile.sizes[first] / profile.sizes.sum()
            name, weight = profile.names[first], f"{profile.weights[factor, first]:.2f}"
            named = profile.weights[factor, first] >= _NAMED * part
        if named:
            return f"Factor {factor}: {name} {weight}"
    return f"Factor {factor}"


def factor_words(reading: Reading, factor: int) -> str:
    """Weight, and a sentence for each profile; what a factor has more than its part for concepts."""
    said = [f"{100 * reading.weight[factor]:.1f} % of all weight."]
    for what, profile in reading.profiles.items():
        if factor in profile.without:
            said.append(f"None of its examples has a {what}.")
            continue
        if profile.present < 2:
            continue
        if what == "concept" and reading.lift is not None:
            own = reading.lift[(reading.lift["factor"] == factor) & (reading.lift["lift"] > 1)]
            more = [f"{row.concept} {row.lift:.1f}x" for row in own.itertuples()]
            if more:
                said.append(f"Concepts above their part: {', '.join(more[:5])}.")
            continue
        place = profile.live.tolist().index(factor)
        order = (-profile.weights[factor]).argsort(kind="stable")
        covered = [
            f"{profile.names[i]} {profile.weights[factor, i]:.2f}"
            for i in order
            if profile.covered[factor, i]
        ]
        said.append(
            f"{what.capitalize()}: purity {profile.purity[place]:.2f}, entropy {profile.entropy[place]:.2f} nats; covers "
            f"{list_words(covered, 4)}."
        )
    return " ".join(said)


def coherence_words(coherence: Coherence) -> str:
    """Mutual coherence in a sentence."""
    if coherence.maximum is None:
        return "Mutual coherence needs two live factors."
    return (
        f"Mutual coherence, the cosine between the examples' weights of two factors: at most {coherence.maximum:.3f}, mean "
        f"{coherence.mean:.3f}, least {coherence.minimum:.3f}. The mean is over the pairs; the released code also counts the "
        f"diagonal, set to 0, which gives {coherence.released_mean:.3f}."
    )
