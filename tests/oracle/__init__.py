"""The oracle: what the contract says of a set of events, computed plainly, slowly, and all at once.

It shares no code with the packages it judges: it was written from the contract alone. Given decoded events,
declarations, the funnel files as `tomllib` reads them, and the wall clock, it gives every row that must be in
ClickHouse, and what became of each event. It knows nothing of arrival order, so it can't depend on it.

Scope: contract sections 1 to 5, stalls, and hand-offs. Bounded history (`too_late`) depends on arrival and is apart, in `tests.oracle.bounded`.
"""

from __future__ import annotations

from tests.oracle.acceptance import Settings
from tests.oracle.conversion import ConversionRow, conversion_facts
from tests.oracle.declarations import Declaration
from tests.oracle.handoffs import HandoffRow
from tests.oracle.identity import canonical_json, identifiers_of, prospect_id_of, strongest_identifier
from tests.oracle.rows import AliasRow, IdentifierRow, ProspectRow, SharedRow, TransitionRow
from tests.oracle.truth import Accounting, Truth, account_for, truth_of

__all__ = [
    "Accounting",
    "AliasRow",
    "ConversionRow",
    "Declaration",
    "HandoffRow",
    "IdentifierRow",
    "ProspectRow",
    "Settings",
    "SharedRow",
    "TransitionRow",
    "Truth",
    "account_for",
    "canonical_json",
    "conversion_facts",
    "identifiers_of",
    "prospect_id_of",
    "strongest_identifier",
    "truth_of",
]
