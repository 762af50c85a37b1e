"""The sentences of the semantic vectors' pages."""

from __future__ import annotations

from collections.abc import Sequence

from fastdissect.methods.semantics import ConceptExplanation, ConceptView, GlobalView, Group
from fastdissect.methods.semantics.groups import COLLINEAR
from fastdissect.reports.studies.explanation_figures import percent

__all__ = [
    "HOW",
    "LISTED",
    "LOCAL",
    "POINTING",
    "REMOVALS",
    "RESIDUALS",
    "STABILITY",
    "TRUST",
    "classes_words",
    "decision_words",
    "merged_words",
    "residual_words",
    "view_title",
]

HOW = """\
A concept is a direction of the layer's feature space here, not a unit: the one that best tells positions which show it \
from positions which do not, on images labelled for its category. It is the only answer of a convex problem (balanced \
logistic loss, isotropic ridge), so it turns with the space when the basis is turned. This is our formulation, after the \
abstract of Gu and Tresp (2019); the paper's own objective was not to be had.

AP is the average precision on positions of held-out images, about 0.5 by chance. The control lays the labels of other \
images under the same scores; a concept whose AP is not above the 95 % quantile of that is marked as not represented. IoU \
is over all cells of the held-out images that show the concept, at the cut that is best on train; it has no meaning for \
labels of whole images."""

LISTED = """\
On held-out images. Unit: the best single one, chosen on train, for AP and for IoU each. Means' AP: of the difference of \
the means of positions that show the concept and of those that do not."""

LOCAL = """\
The score of a class is its logit less the mean of the logits of all classes, which a softmax does not see; the score of \
one class rather than another is the difference of their logits. The class's vector is written as a sum of few concepts' \
vectors with weights of at least 0; each concept's contribution is its weight times how far the image's features reach \
along it. The residual is what no concept of the vocabulary stands for. Contributions, residual and the rest add up to \
the score, exactly.

For the check, a concept's part is taken out of the features at every position and the network's head runs again; beside \
it, as much is taken out along random directions that vary as the features do. p is how often that changes the score at \
least as much. Our formulation."""

TRUST = """\
Semantic vectors are concepts as directions of the layer's feature space. They, and this evaluation, are our formulation, \
after the abstract of Gu and Tresp (2019), whose own evaluation was not to be had."""

POINTING = """\
In every held-out image that shows a concept in some of its cells, the cell where the vector reaches farthest is picked: \
under a linear head that is where the concept's evidence is largest, for any class. It is a hit if the concept has a pixel \
there; cells of equal value share it. The best single unit, random directions that vary as the features do, and a cell \
picked blindly play the same game."""

RESIDUALS = """\
The score of the predicted class is split over the concepts; the residual is what none of them stands for, and its share \
is of the sizes of all contributions and the residual. Above one half the decision counts as not explained."""

REMOVALS = """\
Each concept that takes part in a decision is taken out of the features and the head runs again; beside it as much is \
taken out along random directions that vary as the features do. The score falls by the contribution itself only where \
the vectors are at right angles and explain the class's vector whole: the points tell how far that holds. By chance: the \
root mean square of the changes along the random directions."""

STABILITY = """\
The vectors were found again from other positions, drawn by other seeds, and compared. A concept with few positions keeps \
all that show it; then only those that do not show it are others."""


def classes_words(view: GlobalView) -> str:
    """How classes became vectors, or why they did not."""
    if view.reading is None or view.weights is None:
        return f"The classes are left out: {view.reason}"
    head = view.reading.head
    if head.kind == "linear":
        how = f"A class's vector is its row of {head.logits or 'the head'}, less the mean of the rows."
    else:
        how = (
            "The head is not linear: a class's vector is the mean gradient of its logit, less the mean of the logits, with "
            "respect to the pooled features, over the images that the network takes for it."
        )
    never = view.weights.never
    left = f" Never predicted, so without a vector: {', '.join(never)}." if never else ""
    return (
        f"{how} p is how often one of {view.draws:,} random vectors with the features' covariance has a cosine at least as "
        f"large; q is p under the false discovery rate of all pairs.{left}"
    )


def merged_words(groups: Sequence[Group]) -> str:
    """Which concepts count as one, as their vectors are collinear; "" where none do."""
    merged = [group.name for group in groups if len(group.members) > 1]
    if not merged:
        return ""
    return (
        f"Concepts whose vectors have a cosine above {COLLINEAR} cannot be told apart by weights and count as one: "
        f"{', '.join(merged)}."
    )


def view_title(explanation: ConceptExplanation, view: ConceptView) -> str:
    """Which decision it is about, short."""
    if view.role == "predicted":
        return f"{view.name}{', wrongly' if explanation.correct is False else ''}"
    if view.role == "difference":
        return view.title
    return f"{view.name}, {'the true class' if view.role == 'true' else 'asked for'}"


def decision_words(explanation: ConceptExplanation, view: ConceptView) -> str:
    """What was decided, in a sentence."""
    score = view.evidence.score
    if view.role == "difference":
        return f"The logit of {view.name} is {score:.4g} above that of {view.against_name}."
    said = f"The logit of {view.name} is {view.logit:.4g}, {score:.4g} above the mean of the classes."
    if view.role == "predicted" and explanation.true is not None:
        name = explanation.names[explanation.true]
        said += (
            " The prediction is right." if explanation.correct else f" The prediction is wrong: it is {name}."
        )
    return said


def residual_words(view: ConceptView) -> str:
    """How much the vocabulary explains."""
    own = view.evidence
    share = percent(own.residual_share)
    if not own.explained:
        return f"Decision not explained by the vocabulary: the residual is {share} of contributions and residual."
    return f"The residual is {share} of contributions and residual."
