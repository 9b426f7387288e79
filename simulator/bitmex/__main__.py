"""``python -m simulator.bitmex``: the same as ``python -m simulator --venue bitmex``."""

import sys

from simulator.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["--venue", "bitmex", *sys.argv[1:]]))
