"""``Aside``: where work is done that takes longer than an event loop has. A type."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Aside(Protocol):
    """Does what takes long elsewhere than in the event loop; as :func:`asyncio.to_thread`."""

    def __call__(self, work: Callable[..., T], /, *given: Any) -> Awaitable[T]: ...
