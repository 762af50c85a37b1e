"""The yardstick: GB/s of a device-to-device copy, bytes read and bytes written counted.

Predicted: 80 to 90 % of the data sheet's bandwidth, that is 3.8 to 4.3 TB/s on an H200 (4.8 TB/s): 1 GiB read and
1 GiB written in 0.50 to 0.57 ms.
"""

from __future__ import annotations

from gpu.rows import Rows
from gpu.timing import Device, gigabytes, quartiles

SIZE = 1 << 30  # bytes, of each of the two buffers


def run(device: Device, rows: Rows, quick: bool = False) -> None:
    torch = device.torch
    size = min(SIZE, device.memory // 16)
    pairs = []
    for seed in range(2):
        generator = torch.Generator(device.place).manual_seed(seed)
        source = torch.empty(size // 4, dtype=torch.int32, device=device.place)
        source.random_(generator=generator)
        pairs.append((source, torch.empty_like(source)))
    times = device.milliseconds(lambda pair: pair[1].copy_(pair[0]), pairs, 5 if quick else 41)
    assert torch.equal(*pairs[0]), "the copy is not equal to what it was made of"
    rate = quartiles([gigabytes(2 * size, ms) for ms in times])
    rows.add("copy", {"bytes read and written": 2 * size, "ms": quartiles(times), "GB/s": rate})
