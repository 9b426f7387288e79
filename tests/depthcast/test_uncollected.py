"""No collection inside, and the collector as it was found outside."""

import gc
import threading
from collections.abc import Iterator

import pytest

from depthcast.uncollected import uncollected


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    was = gc.isenabled()
    gc.enable()
    yield
    (gc.enable if was else gc.disable)()


def test_nothing_is_collected_inside() -> None:
    collections: list[str] = []

    def told(phase: str, info: dict[str, int]) -> None:
        collections.append(phase)

    gc.callbacks.append(told)
    try:
        with uncollected():
            collections.clear()
            assert len([[number] for number in range(100_000)]) == 100_000
            assert collections == []
        assert len([[number] for number in range(100_000)]) == 100_000
        assert collections
    finally:
        gc.callbacks.remove(told)


def test_the_last_one_out_lets_it_go_on_whatever_happened() -> None:
    def fail() -> None:
        with uncollected():
            with uncollected():
                assert not gc.isenabled()
            assert not gc.isenabled()
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert gc.isenabled()


def test_two_threads_do_not_let_it_go_on_for_each_other() -> None:
    inside, out = threading.Event(), threading.Event()

    def other() -> None:
        with uncollected():
            inside.set()
            assert out.wait(60)

    thread = threading.Thread(target=other)
    with uncollected():
        thread.start()
        assert inside.wait(60)
    assert not gc.isenabled()
    out.set()
    thread.join(60)
    assert gc.isenabled()


def test_one_that_somebody_else_turned_off_stays_off() -> None:
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()
