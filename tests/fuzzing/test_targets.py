"""A short campaign against each target, the same each time. Longer ones: ``make fuzz MINUTES=10``."""

import pytest

from tests.fuzzing.campaign import Campaign, Verdict
from tests.fuzzing.targets import TARGETS

SEED = 1


@pytest.mark.parametrize("name", TARGETS)
async def test_nothing_is_found_and_nothing_grows(name: str) -> None:
    target = TARGETS[name]()
    report = await Campaign(target, SEED).run(target.rounds)
    assert not report.findings, "\n\n".join(finding.told() for finding in report.findings)
    assert report.rounds == target.rounds
    # Chance has to leave some of it as it should be, and to spoil some.
    assert report.counts[Verdict.ACCEPTED] > 0
    assert report.counts[Verdict.REJECTED] > 0 or name in ("split", "listing")
