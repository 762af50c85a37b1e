"""Everything of the tutorial docs/factorization.md with one command: about five minutes.

    python examples/factorization/run.py
    python examples/factorization/run.py --quick --out quick     under a minute, to see that it works; the networks learn little

Trains small networks on scikit-learn's digits, finds the shapes network of examples/studies (or trains it), factorises what
they do, compares settings, and says where each page is. The tutorial's figures lie in OUT/figures.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import scenes
import torch
from digit_study import DigitStudy
from output import Output
from shape_study import ShapeStudy
from threadpoolctl import threadpool_limits  # comes with scikit-learn


def _short(path: Path) -> str:
    """Relative where that is shorter: what is printed can be read, and pasted."""
    try:
        near = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path.resolve())
    return str(path.resolve()) if near.startswith("..") else near


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=Path("factorization"), help="folder (default ./factorization)"
    )
    parser.add_argument("--quick", action="store_true", help="under a minute: few images, one seed")
    parser.add_argument(
        "--networks", type=Path, help="folder with plain.safetensors (default: found or trained)"
    )
    parser.add_argument(
        "--figures", type=Path, help="folder for the tutorial's figures (default OUT/figures)"
    )
    given = parser.parse_args(arguments)
    started = perf_counter()
    given.out.mkdir(parents=True, exist_ok=True)
    output = Output(given.out, given.figures or given.out / "figures", quick=given.quick)
    torch.set_num_threads(1)  # sums, and so the last digits, depend on the number of threads
    with threadpool_limits(1):
        DigitStudy(output).run()
        weights = scenes.network_file(
            given.networks, Path("studies/networks"), given.out / "networks", quick=given.quick
        )
        ShapeStudy(output, f"{_short(scenes.source())}:plain?weights={_short(weights)}").run()
    print(f"\nDone in {(perf_counter() - started) / 60:.1f} minutes. Open in a browser:")
    for title, page in output.pages:
        print(f"  {title:36} {page}")
    print(f"  {'the tutorial’s figures':36} {output.figures}")


if __name__ == "__main__":
    main()
