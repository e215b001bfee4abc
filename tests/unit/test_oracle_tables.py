"""The oracle's rows of people as ClickHouse's tables hold them."""

from __future__ import annotations

from tests.oracle import prospect_id_of, truth_of
from tests.unit.funnel.histories import T0
from tests.unit.test_oracle_identity import SALES, SETTINGS, seen
from tests.warehouse import TABLES, expected


def test_tables_hold_what_the_truth_says() -> None:
    """As text, for comparison with ClickHouse."""
    truth = truth_of([seen("1", 7, email="a@x.com", user_id="a")], [SALES], SETTINGS, T0)
    rows = expected(truth)
    assert rows.keys() == TABLES.keys()
    email, user = (prospect_id_of(name, SETTINGS.id_key) for name in ("email:a@x.com", "user_id:a"))
    assert rows["prospect_identifiers"] == [[str(user), "email", "a@x.com"], [str(user), "user_id", "a"]]
    assert rows["prospect_aliases"] == [[str(email), str(user), str(T0 + 7)]]
    assert rows["shared_identifiers"] == []
