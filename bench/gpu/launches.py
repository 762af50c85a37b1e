"""Each launch of our kernels between two CUDA events of its own: where the time of a call goes, kernel by kernel.

What is not a launch (copies to the host, clearing, waiting) is not in it: for that the whole call is timed beside.
Two events cost a launch a few microseconds of the device's time at most, which is noise beside the sizes measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Self

__all__ = ["Launches"]


class Launches:
    """While it is entered, `launching.launch` records events. `take()` gives the milliseconds since the last one.

    Args:
        module: fastdissect.kernels.cuda.launching; its `function` looks a kernel up by name.
        event: makes an event (cupy.cuda.Event); elapsed(start, stop): milliseconds (cupy.cuda.get_elapsed_time).
    """

    def __init__(self, module: Any, event: Callable[[], Any], elapsed: Callable[[Any, Any], float]) -> None:
        self._module, self._event, self._elapsed = module, event, elapsed
        self._open: list[tuple[str, Any, Any]] = []

    @classmethod
    def real(cls) -> Launches:
        import cupy

        from fastdissect.kernels.cuda import launching

        return cls(launching, cupy.cuda.Event, cupy.cuda.get_elapsed_time)

    def __enter__(self) -> Self:
        self._function = self._module.function

        def function(stem: str, name: str, device: int) -> Callable[..., None]:
            kernel = self._function(stem, name, device)

            def launch(*arguments: Any, **options: Any) -> None:
                start, stop = self._event(), self._event()
                start.record()
                kernel(*arguments, **options)
                stop.record()
                self._open.append((name, start, stop))

            return launch

        self._module.function = function
        return self

    def __exit__(self, *_: object) -> None:
        self._module.function = self._function

    def take(self) -> dict[str, float]:
        """{kernel: milliseconds} of the launches since the last call; waits for them."""
        spent: dict[str, float] = defaultdict(float)
        for name, start, stop in self._open:
            stop.synchronize()
            spent[name] += self._elapsed(start, stop)
        self._open.clear()
        return dict(spent)
