"""Arrays of numbers that a caller gives: float32, finite, on the host."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fastdissect.errors import SettingError

__all__ = ["finite_floats"]


def finite_floats(owner: str, what: str, values: ArrayLike) -> NDArray[np.float32]:
    """A float32 copy.

    Args:
        owner: whose numbers they are, and `what` they are to it, for messages: "directions 'm'", "matrix".

    Raises:
        SettingError: no numbers, complex ones, or some that are not finite in float32.
    """
    if isinstance(values, Tensor):
        own = values.detach().cpu()
        values = own.numpy() if own.is_complex() else own.float().numpy()
    try:
        if np.iscomplexobj(values):
            raise TypeError("complex numbers")
        with np.errstate(over="ignore"):  # refused below
            array = np.array(values, np.float32, order="C")
    except (TypeError, ValueError) as error:
        raise SettingError(f"{owner}: expected numbers as its {what}; got: {error}") from error
    if not np.isfinite(array).all():
        raise SettingError(f"{owner}: expected finite float32 numbers as its {what}; got NaN or inf")
    return array
