"""Request weight: what answers tell, and the limit on each client."""

from collections.abc import Awaitable

import pytest

from server.answers import NOWHERE, Answer, Asked, Hold, json_answer
from server.clients import Clients, parse_networks
from server.weights import Weights

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
