"""How long a bucket keeps what may be forgotten: rules for history, tape, heatmap. Over ``boto3``.

====================  ==============================================================================
rule                  what it expires
====================  ==============================================================================
``history``           changes of public documents, ``history/``
``accounts``          changes of accounts, ``private/history/``
``tape``              recorded diffs, ``tape/``
``heat``              the heatmap's tiles, ``heat/``
====================  ==============================================================================

Promises: of a bucket's rules only those of these names (with ``depthcast-`` before them, and the store's
prefix behind) are written or taken away; every other one is sent back as it came. No rule is made for a
prefix below which something is in force. What others' rules would expire of that is told (:func:`dangers`).
Leaves to others: the expiring, which is the store's, once a day or as it does it.

Lifecycle rules can be written only all at once and without a condition: of two who change them at the same
moment one is undone. The calls here block.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from botocore.exceptions import BotoCoreError, ClientError

from depthcast.errors import SettingsError
from depthcast.store.bucket import client_of, failure_of, located, unreached

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import LifecycleRuleUnionTypeDef

Rule = Mapping[str, Any]
"""A rule as S3 tells it."""

HISTORY: Final = {"history": "history/", "accounts": "private/history/"}
TAPE: Final = {"tape": "tape/"}
HEAT: Final = {"heat": "heat/"}
RULES: Final[Mapping[str, str]] = {**HISTORY, **TAPE, **HEAT}
"""The prefix that each of our rules expires."""

KEPT: Final = ("api/", "sapi/", "metadata/", "private/", "fleet/", "probe/", "errors/")
"""What may not expire, but for what is in :data:`RULES`: a late writer could put an old file where a newer
one was."""

_EXPIRING: Final = (
    "Expiration",
    "NoncurrentVersionExpiration",
    "Transitions",
    "NoncurrentVersionTransitions",
)
_MAX_DAYS: Final = 36_500


class Change(NamedTuple):
    """The rules of a bucket, before and after."""

    before: Sequence[Rule]
    after: Sequence[Rule]


def retention_rules(
    url: str, env: Mapping[str, str] | None = None, *, timeout_s: float = 10.0
) -> Sequence[Rule]:
    """The rules that the bucket of ``s3://BUCKET[/PREFIX]`` has, ours and others'.

    Raises :class:`~depthcast.errors.SettingsError` and :class:`~depthcast.errors.StoreError`.
    """
    location, aws = located(url, env)
    try:
        answer = client_of(aws, timeout_s).get_bucket_lifecycle_configuration(Bucket=location.bucket)
    except ClientError as error:
        failure = failure_of(error)
        if failure.code == "NoSuchLifecycleConfiguration":
            return ()
        raise failure.error(aws.where(location)) from None
    except BotoCoreError as error:
        raise unreached(error, aws.where(location)) from None
    return tuple(answer.get("Rules", ()))


def retain(
    url: str, days: Mapping[str, int], env: Mapping[str, str] | None = None, *, timeout_s: float = 10.0
) -> Change:
    """Give our rules of these names so many days; 0: the rule is taken away, and what it expired is kept.

    Nothing is written where all is so already. Raises as :func:`retention_rules`.
    """
    location, aws = located(url, env)
    before = retention_rules(url, env, timeout_s=timeout_s)
    after = merged(before, days, location.prefix)
    if after == list(before):
        return Change(before, before)
    client = client_of(aws, timeout_s)
    try:
        if after:
            rules = cast("list[LifecycleRuleUnionTypeDef]", after)
            client.put_bucket_lifecycle_configuration(
                Bucket=location.bucket, LifecycleConfiguration={"Rules": rules}
            )
        else:
            # A configuration without rules is none that S3 would take.
            client.delete_bucket_lifecycle(Bucket=location.bucket)
    except ClientError as error:
        raise failure_of(error).error(aws.where(location)) from None
    except BotoCoreError as error:
        raise unreached(error, aws.where(location)) from None
    return Change(before, retention_rules(url, env, timeout_s=timeout_s))


def merged(before: Sequence[Rule], days: Mapping[str, int], prefix: str = "") -> list[Rule]:
    """The rules after the change: ours of the names in ``days`` anew, every other one as it is.

    ``prefix`` is the store's own within the bucket. Raises :class:`~depthcast.errors.SettingsError` where a
    rule of another name expires the same keys, or days are none.

    >>> merged([], {"tape": 30})[0]["Expiration"]
    {'Days': 30}
    """
    # S3 takes no two ways to write a prefix in one configuration; the older one has it beside the filter.
    older = any("Prefix" in rule for rule in before)
    made: dict[str, Rule | None] = {}
    for name, number in days.items():
        if not 0 <= number <= _MAX_DAYS:
            raise SettingsError(f"{number} is no number of days", hint=f"0 (for ever) to {_MAX_DAYS}")
        made[rule_id(name, prefix)] = _rule(name, number, prefix, older=older) if number else None
    for new in filter(None, made.values()):
        for rule in before:
            if rule.get("ID") not in made and expires(rule) and prefix_of(rule) == prefix_of(new):
                raise SettingsError(
                    f"the bucket's rule {rule.get('ID')!r} expires {prefix_of(rule)} already",
                    hint="change it where it was made, or take it away",
                )
    after = []
    for rule in before:
        name = rule.get("ID", "")
        if name not in made:
            after.append(rule)
        elif (ours := made.pop(name)) is not None:
            after.append(rule if _same(rule, ours) else ours)
    return [*after, *filter(None, made.values())]


def dangers(rules: Sequence[Rule], prefix: str = "") -> Iterator[str]:
    """Sentences about rules that would expire what is in force."""
    for rule in rules:
        if rule.get("Status") != "Enabled" or not expires(rule):
            continue
        about = prefix_of(rule)
        if any(about.startswith(_below(prefix, ours)) for ours in RULES.values()):
            continue
        touched = [each for each in KEPT if _overlap(about, _below(prefix, each))]
        if touched:
            yield (
                f"rule {rule.get('ID', '')!r} expires or moves what is below {', '.join(touched)}: "
                "take it away, or give it another prefix"
            )


def rule_id(name: str, prefix: str = "") -> str:
    """The name of our rule in the bucket.

    >>> rule_id("tape"), rule_id("tape", "live/eu")
    ('depthcast-tape', 'depthcast-tape/live/eu')
    """
    return f"depthcast-{name}/{prefix}" if prefix else f"depthcast-{name}"


def is_ours(rule: Rule, prefix: str = "") -> bool:
    """Whether a rule is one of those that are made here."""
    return rule.get("ID") in {rule_id(name, prefix) for name in RULES}


def prefix_of(rule: Rule) -> str:
    """The keys that a rule is about, by their beginning; empty: all."""
    held = rule.get("Filter") or {}
    told = held.get("Prefix") or held.get("And", {}).get("Prefix") or rule.get("Prefix") or ""
    return str(told)


def expires(rule: Rule) -> bool:
    """Whether a rule deletes or moves objects."""
    return any(rule.get(name) for name in _EXPIRING)


def days_of(rule: Rule) -> int | None:
    """After how many days a rule expires an object; ``None`` where it does not say so in days."""
    found = rule.get("Expiration", {}).get("Days")
    return found if isinstance(found, int) else None


def _rule(name: str, days: int, prefix: str, *, older: bool) -> Rule:
    about = {"Prefix": _below(prefix, RULES[name])}
    place = about if older else {"Filter": about}
    return {"ID": rule_id(name, prefix), "Status": "Enabled", **place, "Expiration": {"Days": days}}


def _same(rule: Rule, other: Rule) -> bool:
    """Whether two rules do the same, whichever way their prefix is written."""
    said = ("Status", "Expiration")
    return (
        prefix_of(rule) == prefix_of(other)
        and all(rule.get(name) == other.get(name) for name in said)
        and set(rule) <= {"ID", "Filter", "Prefix", *said}
    )


def _overlap(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _below(prefix: str, name: str) -> str:
    """A prefix of keys of the store as the bucket has it."""
    return f"{prefix}/{name}" if prefix else name
