"""One concept's classification vector: logistic regression by SGD on balanced draws."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.net2vec.classification_settings import ClassificationSettings

__all__ = ["Fit", "PooledData", "fit_concept"]

Floats = NDArray[np.float32]


class PooledData(NamedTuple):
    x: NDArray[np.float32]  # [images, units]
    shows: NDArray[np.bool_]  # [images, concepts]
    train: NDArray[np.bool_]  # [images]


class Fit(NamedTuple):
    weights: NDArray[np.float32]
    bias: np.float32
    loss_train: float
    loss_val: float
    accuracy_train: float
    accuracy_val: float


def _balanced(
    rng: np.random.Generator, positive: NDArray[np.int64], negative: NDArray[np.int64]
) -> NDArray[np.int64]:
    """As many of one kind as of the other, each image at most once, positives first."""
    count = min(len(positive), len(negative))
    return np.concatenate(
        [
            positive if count == len(positive) else rng.choice(positive, count, replace=False),
            negative if count == len(negative) else rng.choice(negative, count, replace=False),
        ]
    )


def fit_concept(
    data: PooledData,
    column: int,
    number: int,
    settings: ClassificationSettings,
    kept: NDArray[np.int64] | None,
) -> Fit:
    """Train one concept; only the columns `kept` of x take part (None: all).

    First weights and draws depend on the seed, the concept's number and its images alone.
    """
    rng = np.random.default_rng([settings.seed, number])
    units = data.x.shape[1]
    bound = 1 / math.sqrt(units)
    first: Floats = np.asarray(rng.uniform(-bound, bound, units), np.float32)
    b, shows = np.float32(rng.uniform()), data.shows[:, column]
    truth = shows.astype(np.float32)
    own = np.arange(units) if kept is None else kept
    w, x = first[own], data.x if kept is None else data.x[:, own]
    positive, negative = (np.flatnonzero(data.train & here) for here in (shows, ~shows))
    val = _balanced(rng, *(np.flatnonzero(~data.train & here) for here in (shows, ~shows)))
    v, v_bias, rate = np.zeros_like(w), np.float32(0), np.float32(settings.learning_rate)
    momentum, drawn = np.float32(settings.momentum), val[:0]
    for epoch in range(settings.epochs):
        if epoch and epoch % settings.decay_every == 0:
            rate = np.float32(rate * settings.decay)
        drawn = rng.permutation(_balanced(rng, positive, negative))
        for begin in range(0, len(drawn), settings.batch):
            rows = drawn[begin : begin + settings.batch]
            batch = x[rows]
            g: Floats = (_sigmoid(batch @ w + b) - truth[rows]) / np.float32(len(rows))
            v = np.asarray(momentum * v + g @ batch, np.float32)
            v_bias = np.float32(momentum * v_bias + g.sum(dtype=np.float32))
            w, b = np.asarray(w - rate * v, np.float32), np.float32(b - rate * v_bias)
    weights = np.zeros(units, np.float32)
    weights[own] = w
    loss, accuracy = zip(*(_judge(x, w, b, shows, rows) for rows in (drawn, val)), strict=True)
    return Fit(weights, b, loss[0], loss[1], accuracy[0], accuracy[1])


def _sigmoid(s: Floats) -> Floats:
    e = np.exp(-np.abs(s))
    return np.asarray(np.where(s >= 0, np.float32(1), e) / (np.float32(1) + e), np.float32)


def _judge(
    x: NDArray[np.float32],
    w: NDArray[np.float32],
    b: np.float32,
    shows: NDArray[np.bool_],
    rows: NDArray[np.int64],
) -> tuple[float, float]:
    """Mean loss, and accuracy at 0.5; NaN without images."""
    if not len(rows):
        return math.nan, math.nan
    s = x[rows] @ w + b
    towards = np.where(shows[rows], -s, s)  # log(1 + exp(it)) is the loss
    return float(np.logaddexp(0, towards).mean()), float(np.mean((s > 0) == shows[rows]))
