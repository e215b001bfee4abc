"""Every metric of the worker, in one place. No label ever holds an identifier or anything else from outside."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

CONSUMED = Counter("journey_consumed", "Records taken from the input topics.", ["topic"])
TOUCHES = Counter("journey_touches", "Events that intake accepted and sent on to their prospect.")
APPLIED = Counter("journey_applied", "Events that became part of a prospect's history and that some funnel cares for.")
DUPLICATE = Counter("journey_duplicate", "Copies of events known before.")
IGNORED = Counter("journey_ignored", "Events that no funnel cares for.")
SHARED = Counter("journey_shared", "Events that are nobody's, as an identifier on their way is shared.")
FORGOTTEN = Counter("journey_forgotten", "Events that were forgotten, or turned away as whose they are is forgotten.")
DECLARED = Counter("journey_declared", "Declarations, and requests to forget, that intake accepted.")
TAKEN_BACK = Counter(
    "journey_taken_back", "Of the counts of the same names: events that went elsewhere, and count there.", ["count"]
)
SENT = Counter("journey_sent", "Statements that identifiers sent to one another.")
DEAD = Counter("journey_dead", "Events that became dead letters.", ["reason"])
TICKS = Counter("journey_ticks", "Deadlines that were due and told to their prospect.")
FACTS = Counter("journey_facts", "Messages with facts sent to the sink.")
DEADLINES = Gauge("journey_deadlines", "Prospects that the wall clock will change something for.")
STATES = Gauge("journey_states", "Prospects whose state is held ready to use.")


def count(counter: Counter, name: str, number: int) -> None:
    """Add to a counter; what goes down is told by another one, as counters only rise."""
    if number >= 0:
        counter.inc(number)
    else:
        TAKEN_BACK.labels(name).inc(-number)
