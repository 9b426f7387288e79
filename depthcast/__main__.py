"""``python -m depthcast``: the ``depthcast`` command."""

import sys

from depthcast.cli import main

sys.exit(main())
