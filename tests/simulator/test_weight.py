"""Request weight, 429 and 418, and connection attempts."""

import json

from simulator.weight import AttemptMeter, WeightMeter

MINUTE = 60_000
START = 1_800_000_000_000 - 1_800_000_000_000 % MINUTE


def test_weight_adds_up_within_a_utc_clock_minute_and_address() -> None:
    meter = WeightMeter(limit=100)
    assert [meter.charge("a", 5, START + ms).used for ms in (0, 10, 59_999)] == [5, 10, 15]
    assert meter.charge("b", 20, START).used == 20
    assert meter.charge("a", 5, START + MINUTE).used == 5


def test_over_the_limit_comes_429_until_the_minute_ends() -> None:
    meter = WeightMeter(limit=100)
    assert meter.charge("a", 100, START + 12_001).refusal is None
    used, refusal = meter.charge("a", 50, START + 12_001)
    assert used == 150  # what is refused costs too
    assert refusal is not None
    assert (refusal.status, refusal.retry_after_s) == (429, 48)
    assert json.loads(refusal.body) == {
        "code": -1003,
        "msg": "Too much request weight used; current limit is 100 request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API.",
    }
    assert meter.charge("b", 100, START + 12_001).refusal is None
    assert meter.charge("a", 100, START + MINUTE).refusal is None


def test_who_does_not_stop_is_banned_and_each_ban_is_longer_up_to_the_longest() -> None:
    meter = WeightMeter(limit=10, ban_after=3, ban_s=120, max_ban_s=300)
    now, lengths = START, []
    for _ in range(3):
        statuses = []
        for _ in range(4):
            refusal = meter.charge("a", 10, now).refusal
            statuses.append(refusal.status if refusal else 200)
        assert statuses == [200, 429, 429, 418]
        refusal = meter.charge("a", 1, now + 1000).refusal
        assert refusal is not None
        assert refusal.status == 418
        lengths.append(refusal.retry_after_s + 1)
        until = now + lengths[-1] * 1000
        assert json.loads(refusal.body)["msg"] == (
            f"Way too much request weight used; IP banned until {until}. "
            "Please use WebSocket Streams for live updates to avoid bans."
        )
        assert meter.charge("b", 1, now + 1000).refusal is None
        now = until + MINUTE - until % MINUTE
    assert lengths == [120, 240, 300]


def test_on_demand_everybody_is_throttled_or_banned_for_a_time() -> None:
    meter = WeightMeter()
    meter.throttle_all(1500, START)
    refusal = meter.charge("a", 1, START + 1).refusal
    assert refusal is not None
    assert (refusal.status, refusal.retry_after_s) == (429, 2)
    assert meter.charge("b", 1, START + 1500).refusal is None
    meter.ban_all(3000, START)
    refusal = meter.charge("b", 1, START + 2500).refusal
    assert refusal is not None
    assert (refusal.status, refusal.retry_after_s) == (418, 1)
    meter.forgive()
    assert meter.charge("b", 1, START + 2500) == (1, None)


def test_the_number_of_accounts_is_bounded() -> None:
    meter = WeightMeter(max_addresses=2)
    for address in ("a", "b", "c"):
        meter.charge(address, 5, START)
    assert meter.charge("c", 5, START).used == 10
    assert meter.charge("a", 5, START).used == 5


def test_so_many_connection_attempts_are_allowed_to_an_address_in_any_five_minutes() -> None:
    meter = AttemptMeter(limit=2, max_addresses=2)
    assert [meter.allow("a", START + ms) for ms in (0, 100, 200)] == [True, True, False]
    assert meter.allow("b", START + 200)
    assert [meter.allow("a", START + ms) for ms in (299_999, 300_000, 300_050, 300_100)] == [
        False,
        True,
        False,
        True,
    ]
    assert meter.allow("c", START + 300_100)  # "a" is forgotten
    assert meter.allow("a", START + 300_100)
