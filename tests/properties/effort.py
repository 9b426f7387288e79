"""How many examples a property is tried with: few and always the same in CI, many and new ones on request.

``HYPOTHESIS_PROFILE=long`` (``make properties``) asks for the many; ``tests/conftest.py`` has the profiles.
"""

import os
from typing import Final

LONG: Final = os.environ.get("HYPOTHESIS_PROFILE") == "long"

TIMES: Final = 50
"""So many times as many, where there is time."""


def examples(count: int) -> int:
    """``count`` in CI."""
    return count * TIMES if LONG else count
