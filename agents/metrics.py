"""Every metric of the worker, in one place. No label ever holds an identifier or anything else from outside."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

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
OVERDUE_SECONDS = Gauge(
    "journey_overdue_seconds",
    "How long ago the earliest deadline passed that nobody was told of yet; 0: there is none.",
)
LAG_RECORDS = Gauge(
    "journey_lag_records",
    "Records of a topic's partitions here that are not settled, as far as the brokers have told.",
    ["topic"],
)
LAG_SECONDS = Gauge("journey_lag_seconds", "Age of the oldest record of a topic that is not settled.", ["topic"])
STUCK_SECONDS = Gauge(
    "journey_stuck_seconds", "For how long an agent has settled nothing while records were waiting for it.", ["agent"]
)
RUN_SECONDS = Histogram(
    "journey_run_seconds",
    "Time that an agent's handler took for a run.",
    ["agent"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 2, 4, 10),
)
DELIVERY_SECONDS = Histogram(
    "journey_delivery_seconds",
    "Time until the brokers had acknowledged what followed from a run: its changelog, or its outputs.",
    ["agent", "what"],
    buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
)
STATE_PROSPECTS = Gauge("journey_state_prospects", "Prospects whose state is here.")
STATE_RECORDS = Gauge("journey_state_records", "Records of the changelog that are held in memory, estimated from some.")
STATE_BYTES = Gauge("journey_state_bytes", "Bytes of their keys and values, estimated from some.")


def count(counter: Counter, name: str, number: int) -> None:
    """Add to a counter; what goes down is told by another one, as counters only rise."""
    if number >= 0:
        counter.inc(number)
    else:
        TAKEN_BACK.labels(name).inc(-number)
