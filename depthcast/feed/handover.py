"""When a successor may take a connection's place, and when it failed to. Pure.

The rule: a connection is retired only when its successor has delivered. Proof is every stream heard on the
successor. Quiet streams may give none, so after half of the overlap it is enough that whatever the old
connection delivered since the successor was acknowledged came over the successor as well. A successor that
still owes something when the overlap ends is no good, acknowledged or not.
"""

from enum import Enum

from depthcast.feed.subscriptions import Subscriptions


class Verdict(Enum):
    """What becomes of a pair of connections."""

    WAIT = "wait"
    RETIRE_OLD = "retire the old one"
    DISCARD_NEW = "discard the successor"


def judge(
    old: Subscriptions, new: Subscriptions, now: float, *, opened_at: float, overlap_s: float
) -> Verdict:
    """The verdict on ``new``, opened at ``opened_at`` (monotonic seconds) to succeed ``old``.

    The overlap begins when everything the successor asked for was acknowledged; it has as long for that.
    """
    if new.settled_at is None:
        return Verdict.DISCARD_NEW if now - opened_at >= overlap_s else Verdict.WAIT
    unheard = [symbol for symbol, stream in new.streams.items() if stream.heard_at is None]
    if not unheard:
        return Verdict.RETIRE_OLD
    elapsed_s = now - new.settled_at
    if elapsed_s < overlap_s / 2:
        return Verdict.WAIT
    if not any(_heard_since(old, symbol, new.settled_at) for symbol in unheard):
        return Verdict.RETIRE_OLD
    return Verdict.DISCARD_NEW if elapsed_s >= overlap_s else Verdict.WAIT


def _heard_since(subscriptions: Subscriptions, symbol: str, since: float) -> bool:
    stream = subscriptions.streams.get(symbol)
    return stream is not None and stream.heard_at is not None and stream.heard_at > since
