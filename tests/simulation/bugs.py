"""The mistakes that are planted: what somebody might write in good faith, or leave out.

Each is a change of one place of the real product (:class:`tests.simulation.mutants.Mutant`); where a module's
text moves on, its entry has to, and a test says so.
"""

from typing import Final

from tests.simulation.mutants import Mutant

MUTANTS: Final = (
    # The write rule
    Mutant(
        "drop-the-condition",
        "depthcast.store.memory",
        "        if match is not None and held is not None and match != held.etag:\n",
        "        if match is not None and held is not None and not match:\n",
        "a write replaces whatever object is there, rather than the one that was seen to be older",
    ),
    Mutant(
        "trust-a-412-as-won",
        "updater.writing",
        "        if result.outcome is Outcome.WON and result.etag is not None:\n"
        "            self._hold(Held(result.etag, attempt.version, now))\n",
        "        if result.outcome in (Outcome.WON, Outcome.LOST):\n"
        "            etag = result.etag or getattr(self._object, 'etag', '')\n"
        "            self._hold(Held(etag, attempt.version, now))\n",
        "a refused condition is taken for our own write, applied before and retried",
    ),
    Mutant(
        "trust-a-412-as-final",
        "updater.writing",
        "        self._forget()\n        if result.outcome is Outcome.LOST:\n",
        "        if result.outcome is not Outcome.LOST:\n            self._forget()\n"
        "        if result.outcome is Outcome.LOST:\n",
        "a refused condition is not followed by a look: the same ETag is the condition again",
    ),
    Mutant(
        "retry-blindly-on-unknown",
        "updater.writing",
        "        self._forget()\n        if result.outcome is Outcome.LOST:\n",
        "        if result.outcome is not Outcome.UNKNOWN:\n            self._forget()\n"
        "        if result.outcome is Outcome.LOST:\n",
        "a write whose outcome is not known is followed by another one, with no look between them",
    ),
    Mutant(
        "a-404-is-for-good",
        "updater.writing",
        "        if self._object is Known.UNSEEN:\n            return Look()\n",
        "        if self._object is Known.UNSEEN:\n            return Look()\n"
        "        if self._object is Known.MISSING and self._last is not None:\n"
        "            return Wait(NEVER)\n",
        "a file that was written and is gone is never written again",
    ),
    # Epochs
    Mutant(
        "compare-ids-across-epochs",
        "updater.writing",
        "    return stored >= mine or stored.update_id == mine.update_id\n",
        "    return stored.update_id >= mine.update_id\n",
        "a file of an earlier epoch with a greater id counts as newer than the book, and stays",
        seed=2,
    ),
    Mutant(
        "a-later-epoch-is-older",
        "updater.writing",
        "    return stored >= mine or stored.update_id == mine.update_id\n",
        "    return stored.epoch == mine.epoch and stored.update_id >= mine.update_id\n",
        "a file of a later epoch counts as older than a book of an earlier one, and is replaced",
        seed=2,
    ),
    Mutant(
        "ignore-a-greater-epoch",
        "updater.claims",
        "        if version is not None and version.epoch > self.newest:\n",
        "        if version is not None and version.epoch > self.newest and self.newest < 0:\n",
        "a later epoch that somebody claimed is not obeyed: the book goes on in its own",
        seed=3,
    ),
    Mutant(
        "rebased-ids-go-unnoticed",
        "depthcast.sync",
        "        if len(run) >= enough - 1:\n",
        "        if len(run) < 0:\n",
        "ids that begin anew are stragglers for ever",
        seed=2,
    ),
    Mutant(
        "forget-the-epoch",
        "depthcast.keeper.finding",
        '        live.epoch = epoch\n        return "rest"\n',
        '        live.epoch = 0\n        return "rest"\n',
        "a book from the exchange counts in the first epoch, whichever one the files are in",
        seed=2,
    ),
    # From the stream to a book
    Mutant(
        "the-previous-id-is-not-compared",
        "depthcast.venues.binance_futures",
        "bids, asks, previous, transaction_time_ms)",
        "bids, asks, 0, transaction_time_ms)",
        "a diff of futures goes on from any book, whichever id it says the one before it had",
        venue="binanceusdm",
    ),
    Mutant(
        "apply-the-triggering-diff-twice",
        "depthcast.sync",
        "        self._wait([diff])\n        return Verdict.GAP\n",
        "        self._apply(diff)\n        self._wait([diff])\n        return Verdict.GAP\n",
        "the diff that shows a gap is applied to the book that lacks one, and once more from the buffer",
        seed=2,
    ),
    Mutant(
        "skip-a-gap-in-the-buffer",
        "depthcast.sync",
        "                self._buffer.clear()\n        self._buffer.append(diff)\n",
        "                diff = diff._replace(first=newest.last + 1)\n        self._buffer.append(diff)\n",
        "a hole among the buffered diffs is passed over",
        seed=47,
    ),
    Mutant(
        "apply-stragglers",
        "depthcast.sync",
        "            return self._straggler(diff, self.book.event_time_ms)\n",
        "            return self._apply(diff)\n",
        "a diff that comes late is applied all the same",
        seed=4,
    ),
    Mutant(
        "begin-from-a-file-too-old",
        "depthcast.sync",
        # It is looked at twice, before a book is made and as diffs are taken from the buffer; either will do.
        "        return self._buffer[0].after if self._buffer else 0\n",
        "        return 0\n",
        "a book begins from a file, or a snapshot, that the buffered diffs do not reach back to",
        also=(
            (
                "            if relation is _Relation.HOLE:\n                self._rising",
                "            if relation is None:\n                self._rising",
            ),
        ),
    ),
    Mutant(
        "refill-from-another-id",
        "depthcast.sync",
        "        if fresh.update_id != book.update_id:\n            return Verdict.TOO_OLD\n",
        "        fresh.update_id = book.update_id\n",
        "a book is completed from a snapshot that was not brought to its id",
        seed=12,
    ),
    Mutant(
        "refill-without-replay",
        "depthcast.sync",
        "                fresh.apply(diff)  # type: ignore[arg-type]\n",
        "                fresh.update_id = diff.last\n",
        "a second snapshot is compared, and taken over, without the diffs that came since",
    ),
    # The book
    Mutant(
        "prices-in-string-order",
        "depthcast.side",
        "            keys = map(Decimal, prices) if self._exact else _floats(prices, price_list)\n",
        '            keys = [float("0." + price.replace(".", "")) for price in prices]\n',
        "prices are ordered as text: 99 is above 100",
    ),
    Mutant(
        "a-short-zero-is-not-zero",
        "depthcast.side",
        "            amounts = _floats(quantities, quantity_list)\n",
        '            amounts = [float(quantity) or float(quantity == "0.000") for quantity in quantities]\n',
        "zero that is spelled 0.000 is a quantity: the level stays",
    ),
    Mutant(
        "publish-beyond-certainty",
        "depthcast.side",
        "        certain = counts[-1] if self._bound is None else self.certain()\n",
        "        certain = counts[-1]\n",
        "levels beyond the certain price are published, with those between them missing",
    ),
    # The feed and the exchange
    Mutant(
        "retire-before-the-successor-delivered",
        "depthcast.feed.handover",
        "    if not unheard:\n        return Verdict.RETIRE_OLD\n",
        "    if unheard or not unheard:\n        return Verdict.RETIRE_OLD\n",
        "a connection is closed as soon as its successor is acknowledged, whether that delivers or not",
    ),
    Mutant(
        "ignore-retry-after",
        "depthcast.rest",
        "            self._obey(error.retry_after_ms)\n        elif",
        "            pass\n        elif",
        "a 429 or a 418 is followed by the next request, whatever pause was asked for",
    ),
    # The fleet
    Mutant(
        "everybody-writes",
        "updater.duty",
        "        return self.rank == 0 or self.takeover_after_s == 0\n",
        "        return self.rank >= 0\n",
        "every replica takes itself for the first in rank: a storm of lost writes",
        seed=2,
    ),
    Mutant(
        "a-standby-never-takes-over",
        "updater.publisher",
        "        if lag_s is not None:\n            self._duty.take_over(mine)\n",
        "        if lag_s is not None and rank < 0:\n            self._duty.take_over(mine)\n",
        "a file whose writer lags is left to it until its heartbeats end",
        seed=4,
    ),
    Mutant(
        "take-over-by-the-wall-clock",
        "updater.publisher",
        "        now, rank, lag_s = self._clock(), self._duty.rank, self._watch.lag_s\n",
        "        now, rank, lag_s = self._clock(), self._duty.rank, self._watch.lag_s\n"
        "        seen, wall_ms = self._standby.seen, self._rounds._wall_ms()\n"
        "        if seen is not None:\n"
        '            age_s = (wall_ms - int(seen.metadata["publish-time"])) / 1000\n'
        "            lag_s = age_s if age_s > self._duty.patience_s + 1 else None\n",
        "whether a file lags is told by the writer's clock and our own",
    ),
    # The reader
    Mutant(
        "vouch-for-another-version",
        "server.freshness",
        "    return file == book or (file.update_id == book.update_id and file.epoch < book.epoch)\n",
        "    return file <= book\n",
        "a heartbeat of a newer book vouches for the older file",
        seed=29,
    ),
    Mutant(
        "show-an-older-version",
        "server.hot",
        "        if self.edition is not None and edition.version < self.edition.version:\n",
        "        if self.edition is not None and edition.version.epoch < self.edition.version.epoch:\n",
        "a reader is given an older file after a newer one, where a cache in between is behind",
        seed=6,
    ),
    Mutant(
        "live-while-the-store-answers",
        "server.freshness",
        "        stale = now - self._known_at(file, judged) > self._stale_after_s"
        " or store_age_s > self._stale_after_s\n",
        "        stale = store_age_s > self._stale_after_s\n",
        "a file is called live for as long as the store confirms it, whether anybody vouches for it or not",
        seed=2,
    ),
)
