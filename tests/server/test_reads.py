"""A read of the store whose end is told: what it gave, or why it gave nothing."""

import asyncio

import pytest

from depthcast.errors import BadFile, DepthcastError, StoreUnavailable
from server.reads import ReadOutcome, read_or_tell

Told = tuple[str, ReadOutcome, float, DepthcastError | None]


class Store:
    """Gives 7, or raises; each look at the clock is a second later than the one before."""

    def __init__(self, error: Exception | None = None, *, silent: bool = False) -> None:
        self.error = error
        self.silent = silent
        self.seconds = 0.0
        self.told: list[Told] = []

    def clock(self) -> float:
        self.seconds += 1
        return self.seconds

    async def get(self) -> int:
        if self.silent:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return 7

    async def read(self, slots: asyncio.Semaphore | None = None) -> int | None:
        return await read_or_tell(
            "a key",
            self.get,
            url="s3://books",
            timeout_s=0.01 if self.silent or slots else 60,
            on_read=lambda *told: self.told.append(told),
            clock=self.clock,
            slots=slots,
        )


async def test_what_is_there_is_given_and_told_with_the_time_it_took() -> None:
    store = Store()
    assert await store.read() == 7
    assert store.told == [("a key", ReadOutcome.CHANGED, 1.0, None)]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (BadFile("a key", "it is none"), ReadOutcome.DAMAGED),
        (StoreUnavailable("away"), ReadOutcome.FAILED),
    ],
)
async def test_what_cannot_be_had_is_none_and_the_error_is_told(
    error: DepthcastError, outcome: ReadOutcome
) -> None:
    store = Store(error)
    assert await store.read() is None
    assert store.told == [("a key", outcome, 1.0, error)]


async def test_a_mistake_of_ours_is_not_taken_for_the_store_s() -> None:
    store = Store(KeyError("a mistake"))
    with pytest.raises(KeyError):
        await store.read()


async def test_a_store_that_does_not_answer_is_given_up() -> None:
    store = Store(silent=True)
    assert await store.read() is None
    [(_, outcome, _, error)] = store.told
    assert outcome is ReadOutcome.FAILED
    assert str(error) == "s3://books did not answer within 0.01 s"


async def test_waiting_for_a_slot_counts_for_the_time() -> None:
    store, slots = Store(), asyncio.Semaphore(1)
    async with slots:
        assert await store.read(slots) is None
    [(_, outcome, _, _)] = store.told
    assert outcome is ReadOutcome.FAILED
