from __future__ import annotations

import numpy as np
import pytest
from cuda_on_host.fixture import Cupy


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 1023, 1024, 1025, 5000])
def test_scan_gives_the_start_of_every_list(cuda: Cupy, count: int) -> None:
    from fastdissect.kernels.cuda.launching import scan, scan_records

    lengths = np.random.default_rng(count).integers(0, 4, count).astype(np.uint32)
    records, starts = scan_records(cuda.asarray(lengths))
    assert starts.get().tolist() == [0, *np.cumsum(lengths, dtype=np.int64).tolist()]
    assert records.get().tolist() == [0, *np.cumsum(lengths > 0, dtype=np.int64).tolist()]
    assert scan(cuda.asarray(lengths)).get().tolist() == starts.get().tolist()
