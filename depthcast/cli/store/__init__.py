"""``depthcast store``: SeaweedFS as a service for the updaters and servers of a fleet.

=============================  =====================================================================
``depthcast.cli.store.settings``     what can be set
``depthcast.cli.store.credentials``  who may write and who may only read, as AWS credentials files
``depthcast.cli.store.keeping``      SeaweedFS, started again when it dies
``depthcast.cli.store.relay``        the address where others reach it
``depthcast.cli.store.run``          all of them together, until SIGTERM
=============================  =====================================================================
"""

from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Run it until SIGTERM or Ctrl-C."""
    from depthcast.cli.store.run import main as run

    return run(argv)
