"""``python -m depthcast``: the ``depthcast`` command."""

from depthcast.cli import command

if __name__ == "__main__":
    command()
