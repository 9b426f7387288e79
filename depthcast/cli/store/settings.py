"""What can be set for ``depthcast store``. How settings are read is :mod:`depthcast.settings`'s."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from depthcast.settings import Address, Listen, LogSettings


class StoreServiceSettings(LogSettings):
    """The settings of the store service. A key given by ``AWS_ACCESS_KEY_ID`` and its secret are the
    writer's; without them both are made by chance at the first start."""

    SECTION: ClassVar[str] = "store"
    TITLE: ClassVar[str] = "store"

    data: Path = Field(Path("depthcast-data/store"), description="the folder that holds everything")
    listen: Listen = Field(Address("127.0.0.1", 8333), description="where S3 answers, host:port")
    bucket: str = Field(
        "depthcast",
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="the bucket, made where it is missing",
    )
    credentials: Path | None = Field(
        None,
        description="the folder for writer/credentials and reader/credentials, two AWS credentials files; "
        "none: credentials in the data folder",
    )
    anonymous_read: bool = Field(
        False,
        description="whether published files (api/, sapi/, metadata/current/, heat/) may be read without "
        "credentials, as an edge does",
    )
    health_listen: Listen = Field(Address("127.0.0.1", 8334), description="where /healthz answers, host:port")
    write_every_s: float = Field(
        15.0, gt=0, description="how often a write is tried; /healthz answers 503 after one that failed"
    )
    min_free_mb: int = Field(200, ge=1, description="with less left on the disk nothing is written, in MiB")
    max_connections: int = Field(
        1024, ge=1, description="open connections; above it, further ones are closed at once"
    )

    @property
    def credentials_folder(self) -> Path:
        """Where the two files go."""
        return self.credentials if self.credentials is not None else self.data / "credentials"
