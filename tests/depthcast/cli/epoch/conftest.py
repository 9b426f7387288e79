"""A store that all commands of a test are led to, and files in it."""

from collections.abc import Awaitable, Callable

import pytest

from depthcast.files import BINANCE, CONTENT_TYPE, FileInfo, Scheme, depth_key
from depthcast.settings import StoreSettings
from depthcast.store import Outcome
from depthcast.store.memory import MemoryStore

Publish = Callable[..., Awaitable[None]]


class KeptStore(MemoryStore):
    """A ``MemoryStore`` that may be opened again after a command has closed it."""

    async def close(self) -> None:
        self.closes = getattr(self, "closes", 0) + 1


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> KeptStore:
    """The store that every command of this test opens."""
    kept = KeptStore()
    monkeypatch.setattr(StoreSettings, "open_store", lambda _self, _env=None: kept)
    return kept


@pytest.fixture
def publish(store: KeptStore) -> Publish:
    """Writes files: ``publish(symbol, {limit: id}, epoch=…, status=…)``."""

    async def publish(
        symbol: str,
        ids: dict[int, int],
        *,
        epoch: int = 0,
        status: str = "TRADING",
        replica: str = "a",
        scheme: Scheme = BINANCE,
    ) -> None:
        for limit, update_id in ids.items():
            key = depth_key(symbol, limit, scheme)
            held = await store.get(key)
            info = FileInfo(epoch, 1, 2, False, True, 1_700_000_000_000, 1_700_000_000_050, replica, status)
            result = await store.put_if(
                key,
                b'{"lastUpdateId":%d,"bids":[["1.0","1.0"]],"asks":[]}' % update_id,
                match=None if held is None else held.etag,
                metadata=info.to_metadata(),
                content_type=CONTENT_TYPE,
                cache_control="public, max-age=0",
            )
            assert result.outcome is Outcome.WON

    return publish
