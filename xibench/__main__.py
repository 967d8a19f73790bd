"""`python -m xibench`: the same as the console script `xibench`."""

from __future__ import annotations

from xibench.cli import main

if __name__ == "__main__":
    main()
