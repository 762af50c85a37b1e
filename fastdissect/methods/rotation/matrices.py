"""Random rotations Q of a layer's K channels, and their powers Q^alpha between the identity and Q.

    Q = W T W^T      real Schur form: W orthogonal, T block diagonal with
                     [cos t, -sin t; sin t, cos t] in a plane that turns by the angle t, and 1 on a line that stays
    Q^alpha          the same planes, turned by alpha t: the shortest path from the identity (alpha = 0) to Q

Source: Network Dissection (Bau, Zhou et al. 2017), section 3.2. Two slips of the released code are not repeated: it
reads angles as arccos of T's diagonal, which loses their sign (its Q^1 is not Q), and it needs an even K. Nor is
its option "unpermute", which reorders the rows of each Q^alpha so that alpha = 0 is a permutation and no longer the
layer itself: scores are the same as a set, but unit k at alpha is then not what unit k has become.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdissect.methods.extras import need
from fastdissect.methods.rotation.checks import (
    check_channels,
    checked_alpha,
    checked_rotation,
    checked_seed,
)

__all__ = ["RotationPath", "random_rotation", "rotation_power"]

Matrix = NDArray[np.float64]


def random_rotation(channels: int, seed: int) -> Matrix:
    """Return a rotation drawn uniformly from SO(K), float64 [channels, channels].

    QR of a matrix of standard normal numbers (NumPy's PCG64), the signs of R's diagonal moved into Q, and one row
    negated where the determinant is -1 (METHODS 2.1). The same seed gives the same matrix, up to the rounding of
    the machine's LAPACK, as its powers are (from some hundred channels on also by LAPACK's number of threads).

    Args:
        channels: K, at least 2.
        seed: a whole number of 0 or more.

    Raises:
        SettingError: fewer than two channels, or no such seed.

    >>> q = random_rotation(5, seed=0)
    >>> bool(np.allclose(q @ q.T, np.eye(5))), round(float(np.linalg.det(q)), 6)
    (True, 1.0)
    """
    check_channels(channels)
    bits = np.random.PCG64(checked_seed(seed))
    normal = np.random.Generator(bits).standard_normal((channels, channels))
    q, r = np.linalg.qr(normal)
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    if np.linalg.slogdet(q).sign < 0:
        q[0] *= -1
    return np.ascontiguousarray(q, dtype=np.float64)


def rotation_power(rotation: ArrayLike, alpha: float) -> Matrix:
    """Return Q^alpha, float64 [K, K]; see `RotationPath`, which decomposes Q once for many powers.

    >>> quarter = [[0.0, -1.0], [1.0, 0.0]]
    >>> bool(np.allclose(rotation_power(quarter, 2), [[-1, 0], [0, -1]]))
    True
    """
    return RotationPath(rotation).power(alpha)


class RotationPath:
    """The shortest path from the identity to a rotation Q, and on: Q^alpha for any finite alpha.

    Angles lie in (-pi, pi]. An eigenvalue -1 always comes twice; each two of them make one plane that turns by pi,
    and there the path is one of several of equal length (which one is up to LAPACK's choice of vectors).

    Args:
        rotation: Q, [K, K], orthogonal to 1e-8 (float32 is too coarse for that), with determinant +1.

    Raises:
        SettingError: no such matrix, or K < 2.

    >>> path = RotationPath(random_rotation(4, seed=1))
    >>> bool(np.allclose(path.power(0.3) @ path.power(0.7), path.power(1)))
    True
    """

    def __init__(self, rotation: ArrayLike) -> None:
        matrix = checked_rotation(rotation)
        blocks, self._basis = need("scipy.linalg").schur(matrix, output="real")
        self._planes, self.angles = _planes_of(blocks)

    @property
    def channels(self) -> int:
        return len(self._basis)

    def power(self, alpha: float) -> Matrix:
        """Return Q^alpha, float64 [K, K]; at alpha = 0 exactly the identity.

        Raises:
            SettingError: alpha is no finite number.
        """
        angle = checked_alpha(alpha) * self.angles
        if not angle.any():
            return np.eye(self.channels)
        first, second = self._planes[:, 0], self._planes[:, 1]
        turned = self._basis.copy()  # the columns of W T^alpha: lines that stay are as they were
        cosine, sine = np.cos(angle), np.sin(angle)
        turned[:, first] = self._basis[:, first] * cosine + self._basis[:, second] * sine
        turned[:, second] = self._basis[:, second] * cosine - self._basis[:, first] * sine
        return np.asarray(turned @ self._basis.T, np.float64)


def _planes_of(blocks: Matrix) -> tuple[NDArray[np.int64], Matrix]:
    """The planes [P, 2] (columns of W) and their angles [P], from the block structure that is there.

    LAPACK sets what is below the diagonal to exactly 0 between blocks, and leaves both 1 and -1 as 1 x 1 blocks;
    above the diagonal, between blocks, an orthogonal matrix has rounding errors alone.
    """
    planes, angles, halves = [], [], []
    row = 0
    while row < len(blocks):
        if row + 1 < len(blocks) and blocks[row + 1, row] != 0:
            block = blocks[row : row + 2, row : row + 2]
            planes.append((row, row + 1))
            angles.append(math.atan2(block[1, 0] - block[0, 1], block[0, 0] + block[1, 1]))
            row += 2
            continue
        if blocks[row, row] < 0:
            halves.append(row)
        row += 1
    planes += list(zip(halves[::2], halves[1::2], strict=True))  # even in number: the determinant is +1
    angles += [math.pi] * (len(halves) // 2)
    return np.array(planes, np.int64).reshape(-1, 2), np.array(angles, np.float64)
