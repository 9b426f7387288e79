"""``python -m simulator.coinbase``: the same as ``python -m simulator --venue coinbaseexchange``."""

import sys

from simulator.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["--venue", "coinbaseexchange", *sys.argv[1:]]))
