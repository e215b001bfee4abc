"""What comes before the actor: intake accepts, identifies, matches and compares events as the oracle does."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from agents.acceptance import Acceptance, Accepted, phone_parser
from schemas.codec import EventCodec
from schemas.messages import decode_touch_without_body
from schemas.registry import FileRegistry
from tests.generators import Case, cases
from tests.oracle import canonical_json
from tests.oracle.acceptance import YEAR_2000, dead_letter_reason
from tests.oracle.identity import Event
from tests.property.effort import tries
from tests.translation import SETTINGS, prospect_of, rules_of, touch_of

CODEC = EventCodec(FileRegistry())
MINUTE = 60_000_000

IDENTIFIERS = {
    "user_id": (None, None, "u1", " u1\n", "GUEST", "0-0", "U1", "01", "-1", "naïve"),
    "email": (None, None, "Jane@X.com", "jane", "a@b@c", " JOSE\u0301@x.com ", "\u212a@x.com", "@", "null"),
    "phone": (
        None,
        None,
        "+1 415 555 0100",
        "(415) 555-0100",
        "+49 30 123456",
        "911",
        "call me",
        "1-800-FLOWERS",
        "000-000-0000",
        "",
    ),
    "anonymous_id": (None, "a1", "undefined", "00000000-0000-0000-0000-000000000000", "A1 "),
}
TEXTS = ("", "\n", "\x00\x1f\x7f", '"quoted"\\', "\u2028", "€", "🎈", "</script>", "ſ")


def disguised(rng: random.Random, event: Event, now: int) -> Event:
    """Give the event other identifiers, times on the borders of what is valid, and texts that JSON escapes."""
    changed = {**event, **{kind: rng.choice(values) for kind, values in IDENTIFIERS.items()}}
    border = rng.choice((YEAR_2000, now + 5 * MINUTE, event["occurred_at"], event["occurred_at"]))
    changed["occurred_at"] = border + rng.choice((-1, 0, 1))
    changed["campaign"] = rng.choice(TEXTS)
    changed["properties"] = {rng.choice(TEXTS): rng.choice(TEXTS) for _ in range(rng.randrange(4))}
    return changed


@tries(250)
@given(cases(), st.integers(0, 2**32))
def test_intake_equals_the_oracle(case: Case, seed: int) -> None:
    """Each event is refused for the oracle's reason, or becomes the touch of the oracle's prospect."""
    rng = random.Random(seed)
    rules = rules_of(case.funnels)
    acceptance = Acceptance(CODEC, rules, SETTINGS.id_key, phone_parser(SETTINGS.phone_region), 1_000_000)
    now = case.now - case.now % 1_000  # Kafka's timestamps are milliseconds
    for plain in case.events:
        event = disguised(rng, plain, now)
        accepted = acceptance.accept(event["channel"], CODEC.encode(event), now // 1_000)
        reason = dead_letter_reason(event, SETTINGS._replace(record_time=now))
        if reason is not None:
            assert not isinstance(accepted, Accepted), event
            assert accepted.reason == reason, event
            continue
        assert isinstance(accepted, Accepted), (event, accepted)
        assert accepted.prospect_id == prospect_of(event), event
        assert decode_touch_without_body(accepted.touch) == touch_of(event, rules)._replace(body=b"")
        assert acceptance.canonical_of(accepted.touch) == canonical_json(event)
