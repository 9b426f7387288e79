"""All targets, by name."""

from collections.abc import Mapping
from typing import Final

from tests.fuzzing.answers import Bodies, RestAnswers, StoreAnswers, WebAnswers
from tests.fuzzing.campaign import Target
from tests.fuzzing.frames import FeedTarget, Frames
from tests.fuzzing.library import Library
from tests.fuzzing.objects import Files, Heartbeats, Listing
from tests.fuzzing.queries import Queries
from tests.fuzzing.requests import Http, Split, Websockets
from tests.fuzzing.settings import SettingsTarget

TARGETS: Final[Mapping[str, type[Target]]] = {
    target.name: target
    for target in (
        Frames,
        FeedTarget,
        Library,
        Bodies,
        RestAnswers,
        StoreAnswers,
        WebAnswers,
        Queries,
        Http,
        Split,
        Websockets,
        Files,
        Heartbeats,
        Listing,
        SettingsTarget,
    )
}
