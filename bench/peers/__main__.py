"""`python bench/peers ...`: the same as `fastdissect bench ...`."""

from __future__ import annotations

import sys

from fastdissect.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))
