"""Request weight: what answers tell, and the limit on each client."""

import asyncio
import http.client
from collections.abc import Awaitable
from typing import TYPE_CHECKING

import pytest

from depthcast.venues.answering import ANSWERING
from server.answers import NOWHERE, Answer, Asked, Hold, json_answer
from server.clients import Clients, parse_networks
from server.weights import Weights
from tests.conformance.world import serving

if TYPE_CHECKING:
    from tests.server.conftest import WatchedStore

ONE = "1.1.1.1"
LIMIT = 12


class Wall:
    """Seconds since 1970; 20 s into a minute."""

    def __init__(self) -> None:
        self.now = 60_000_020.5

    def __call__(self) -> float:
        return self.now


def endpoint(_asked: Asked) -> Answer:
    return json_answer(b"{}")._replace(hold=Hold(NOWHERE, None, 5.0))


def five(_query: bytes) -> int:
    return 5


def used(answer: Answer) -> tuple[str, str]:
    headers = dict(answer.headers)
    return headers[b"x-mbx-used-weight"].decode(), headers[b"x-mbx-used-weight-1m"].decode()


def get(given: Answer | Awaitable[Answer]) -> Answer:
    assert isinstance(given, Answer)
    return given


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def weights(wall: Wall) -> Weights:
    return Weights(LIMIT, Clients(parse_networks(["10.0.0.1"])), wall_s=wall)


def test_without_a_limit_each_answer_tells_its_own_weight_and_nothing_is_counted() -> None:
    weights = Weights()
    weighed = weights.around(endpoint, lambda query: len(query))
    for _ in range(10_000):
        answer = get(weighed(Asked(b"abc", client=ONE)))
    assert (answer.status, used(answer), answer.body) == (200, ("3", "3"), b"{}")
    assert answer.hold == get(endpoint(Asked())).hold
    assert used(get(weighed(Asked(b"a" * 1000)))) == ("1000", "1000")
    assert len(weights) == 0
    weights.check()


def test_a_client_s_weight_adds_up_until_the_minute_of_the_clock_ends(weights: Weights, wall: Wall) -> None:
    weighed = weights.around(endpoint, five)
    assert [used(get(weighed(Asked(client=ONE))))[0] for _ in range(2)] == ["5", "10"]
    wall.now += 39
    assert used(get(weighed(Asked(client="2.2.2.2"))))[0] == "5"
    refused = get(weighed(Asked(client=ONE)))
    assert (refused.status, used(refused)[0]) == (429, "15")
    wall.now += 1
    assert used(get(weighed(Asked(client=ONE))))[0] == "5"
    weights.check()


def test_over_the_limit_it_is_429_in_binance_s_words_until_the_minute_ends(weights: Weights) -> None:
    weighed = weights.around(endpoint, five)
    for _ in range(2):
        assert get(weighed(Asked(client=ONE))).status == 200
    refused = get(weighed(Asked(client=ONE)))
    assert refused.status == 429
    assert refused.body == (
        b'{"code":-1003,"msg":"Too much request weight used; current limit is 12 request weight '
        b'per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."}'
    )
    assert dict(refused.headers)[b"retry-after"] == b"40"
    assert refused.hold is None
    assert weights.refused == 1


@pytest.mark.parametrize(
    ("venue", "body"),
    [
        ("coinbaseexchange", b'{"message":"Public rate limit exceeded"}'),
        (
            "bitmex",
            b'{"error":{"message":"Rate limit exceeded, retry in 40 seconds.","name":"RateLimitError"}}',
        ),
    ],
)
def test_other_venues_tell_of_it_in_their_own_words(weights: Weights, venue: str, body: bytes) -> None:
    counted = weights.around(endpoint, five, ANSWERING[venue].meter)
    asked = Asked(b"", client=ONE)
    answers = [get(counted(asked)) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].body == body
    assert not [name for answer in answers for name, _ in answer.headers if name.startswith(b"x-mbx")]
    assert weights.admit(counted, "2.2.2.2", asked) == b""


def test_one_client_s_limit_is_not_another_s(weights: Weights) -> None:
    weighed = weights.around(endpoint, five)
    for _ in range(5):
        weighed(Asked(client=ONE))
    assert get(weighed(Asked(client="2.2.2.2"))).status == 200
    assert get(weighed(Asked(client="10.0.0.1", forwarded_for=b"3.3.3.3"))).status == 200
    assert get(weighed(Asked(client="10.0.0.1", forwarded_for=ONE.encode()))).status == 429
    assert get(weighed(Asked(client="2.2.2.2", forwarded_for=ONE.encode()))).status == 200


def test_a_kept_answer_is_counted_when_it_is_given_and_not_when_it_is_made(weights: Weights) -> None:
    weighed = weights.around(endpoint, five)
    made = get(weighed(Asked()))
    assert b"x-mbx-used-weight" not in dict(made.headers)
    assert len(weights) == 0
    first = weights.admit(weighed, ONE, Asked())
    assert first == b"x-mbx-used-weight: 5\r\nx-mbx-used-weight-1m: 5\r\n"
    assert weights.admit(weighed, ONE, Asked()) is not None
    assert weights.admit(weighed, ONE, Asked()) is None
    # Left to the ordinary way, it is refused and counted there.
    assert used(get(weighed(Asked(client=ONE))))[0] == "15"
    weights.check()


def test_no_more_clients_are_remembered_than_the_bound(wall: Wall) -> None:
    weights = Weights(LIMIT, max_clients=3, wall_s=wall)
    weighed = weights.around(endpoint, five)
    for n in range(3):
        weighed(Asked(client=f"1.1.1.{n}"))
    weighed(Asked(client="1.1.1.0"))
    weighed(Asked(client="1.1.1.3"))
    weights.check()
    assert len(weights) == 3
    # 1.1.1.1 asked longest ago and is forgotten, 1.1.1.0 is not.
    assert used(get(weighed(Asked(client="1.1.1.0"))))[0] == "15"
    assert used(get(weighed(Asked(client="1.1.1.1"))))[0] == "5"


async def test_an_answer_to_come_tells_its_weight_too(weights: Weights) -> None:
    async def slow(asked: Asked) -> Answer:
        return endpoint(asked)

    given = weights.around(slow, five)(Asked(client=ONE))
    assert not isinstance(given, Answer)
    assert used(await given) == ("5", "5")


@pytest.mark.filterwarnings("error")
async def test_an_answer_that_nobody_waits_for_is_closed_with_what_it_waits_for() -> None:
    async def slow(asked: Asked) -> Answer:
        return endpoint(asked)

    given = Weights().around(slow, five)(Asked())
    given.close()  # type: ignore[union-attr]


def asked_on_one_connection(port: int, times: int, **headers: str) -> list[tuple[int, int, str | None]]:
    """Status, used weight and ``Retry-After`` of so many equal requests of weight 5."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    found = []
    for _ in range(times):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", "/api/v3/depth?symbol=ETHUSDT&limit=5", headers=named)
        answer = connection.getresponse()
        answer.read()
        used = int(answer.headers["x-mbx-used-weight-1m"])
        assert answer.headers.get_all("x-mbx-used-weight") == [str(used)]
        found.append((answer.status, used, answer.headers["retry-after"]))
    connection.close()
    return found


async def test_prepared_answers_are_counted_and_limited_like_others(
    store: "WatchedStore", wall: Wall
) -> None:
    await store.publish("ETHUSDT", 5, 160)
    async with serving(store, wall_s=wall, client_weight_limit=100) as port:
        found = await asyncio.to_thread(asked_on_one_connection, port, 23)
        assert [status for status, *_ in found] == [200] * 20 + [429] * 3
        assert [used for _, used, _ in found] == [5 * n for n in range(1, 24)]
        assert all(retry is None for *_, retry in found[:20])
        assert {retry for *_, retry in found[20:]} == {"40"}, "until the minute ends"
        wall.now += 40
        assert await asyncio.to_thread(asked_on_one_connection, port, 1) == [(200, 5, None)]


async def test_clients_behind_a_trusted_proxy_have_a_limit_each(store: "WatchedStore", wall: Wall) -> None:
    await store.publish("ETHUSDT", 5, 160)
    async with serving(store, wall_s=wall, client_weight_limit=100, trusted_proxies="127.0.0.1") as port:
        for client in ("1.1.1.1", "2.2.2.2", "2001:db8::1"):
            found = await asyncio.to_thread(asked_on_one_connection, port, 21, X_Forwarded_For=client)
            assert [status for status, *_ in found] == [200] * 20 + [429]


async def test_without_a_limit_prepared_answers_say_their_own_weight(store: "WatchedStore") -> None:
    await store.publish("ETHUSDT", 5, 160)
    async with serving(store) as port:
        found = await asyncio.to_thread(asked_on_one_connection, port, 30)
        assert set(found) == {(200, 5, None)}
