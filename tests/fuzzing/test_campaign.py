"""A campaign finds what it is to find: errors, wrong answers, leaks, what never ends; and makes it again."""

import asyncio
import gc
import json
import logging
from collections import Counter
from typing import Any

import pytest

from tests.fuzzing import campaign as module
from tests.fuzzing.__main__ import main
from tests.fuzzing.campaign import Campaign, Case, Census, Report, Target, Verdict, line, shown
from tests.fuzzing.mutation import Mutator

GOOD = b'{"price":"1.5","ids":[1,2,3]}'


class Reading(Target):
    """Reads JSON, and has the fault that it was made with."""

    name = "reading"

    def __init__(self, fault: str = "") -> None:
        self._fault = fault
        self.kept: list[Any] = []

    def draw(self, mutator: Mutator) -> Case:
        return (mutator.either(GOOD),)

    async def run(self, case: Case) -> Verdict:
        if self._fault == "leaks":
            self.kept.append(Report("x", 1))
        if self._fault == "leaves tasks":
            self.kept.append(asyncio.ensure_future(asyncio.sleep(3600)))
        try:
            read = json.loads(case[0])
        except RecursionError:
            return Verdict.REJECTED
        except ValueError as error:
            if self._fault == "raises" and b"\x00" in case[0]:
                raise
            if self._fault == "logs" and b"\x00" in case[0]:
                logging.getLogger("x").exception("it failed")
            if self._fault == "callback" and b"\x00" in case[0]:
                asyncio.get_running_loop().call_exception_handler({"message": "lost", "exception": error})
            if self._fault == "hangs" and b"\x00" in case[0]:
                await asyncio.Event().wait()
            return Verdict.REJECTED
        assert not (self._fault == "is wrong" and read == []), "an empty list"
        return Verdict.ACCEPTED

    async def close(self) -> None:
        for each in self.kept:
            if isinstance(each, asyncio.Task):
                each.cancel()


async def test_a_reader_without_a_fault_has_no_findings() -> None:
    report = await Campaign(Reading(), 1).run(400)
    assert report.findings == []
    assert report.rounds == 400
    assert min(report.counts[verdict] for verdict in Verdict) > 20


@pytest.mark.parametrize("fault", ["raises", "logs", "callback", "is wrong", "hangs"])
async def test_a_fault_is_found_and_its_case_made_again(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROUND_S", 0.05 if fault == "hangs" else 30.0)
    report = await Campaign(Reading(fault), 1, most_findings=1).run(2000)
    assert report.findings
    first = report.findings[0]
    assert f"--target reading --seed 1 --first {first.round} --rounds 1" in first.told()
    again = await Campaign(Reading(fault), 1).run(1, first=first.round)
    assert [found.case for found in again.findings][:1] == [first.case]


@pytest.mark.parametrize(
    ("fault", "word"), [("leaks", "objects of tests.fuzzing.campaign.Report"), ("leaves tasks", "tasks")]
)
async def test_what_grows_with_the_rounds_is_found(fault: str, word: str) -> None:
    report = await Campaign(Reading(fault), 1).run(600)
    assert any(word in finding.what and finding.round == -1 for finding in report.findings)


async def test_a_campaign_may_be_bounded_by_time() -> None:
    moments = iter(range(10_000))
    report = await Campaign(Reading(), 1, clock=lambda: next(moments) * 0.1).run(seconds=20.0)
    assert 10 < report.rounds < 200


def test_what_is_shown_of_a_case_is_bounded() -> None:
    assert shown(b"a\x00") == repr(b"a\x00")
    assert len(shown(b"\xff" * 100_000)) < 4 * module.SHOWN_BYTES + 100
    assert "98000 bytes" in shown(b"\xff" * 100_000)


async def test_the_last_line_is_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    status = await asyncio.to_thread(main, ["--target", "queries", "--rounds", "40", "--seed", "3"])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert status == 0
    assert (told["rounds"], told["findings"]) == (40, 0)
    assert told["fuzzing"][0]["target"] == "queries"
    assert json.loads(line([]))["rounds"] == 0


async def test_what_was_set_aside_while_it_was_counted_does_not_seem_to_grow_when_it_is_taken_back() -> None:
    others: list[Counter[str]] = [Counter() for _ in range(500)]
    gc.freeze()
    try:
        before = Census()
    finally:
        gc.unfreeze()
    assert Census().grown(before, 1000, {}) == []
    assert len(others) == 500
