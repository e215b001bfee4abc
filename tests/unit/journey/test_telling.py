"""What is said of a ClickHouse that refuses."""

from __future__ import annotations

from clickhouse_driver.errors import NetworkError, ServerException

from journey.clickhouse import explain_failure
from journey.clickhouse_address import ClickHouseAddress

CANARY = "canary-93aa01-secret"
ADDRESS = ClickHouseAddress(f"clickhouse://someone:{CANARY}@host:9000/journey")


def test_a_refusal_tells_the_servers_code_and_words() -> None:
    """The code, the first line of the message, what to do; neither the stack trace nor the password."""
    message = f"DB::Exception: someone: Not enough privileges, {CANARY}.\nmore Stack trace:\n\n0. somewhere"
    told = explain_failure(ADDRESS, ServerException(message, 497))
    assert str(told) == "ClickHouse (code 497): DB::Exception: someone: Not enough privileges, **********."
    assert "user that may" in told.hint
    assert str(explain_failure(ADDRESS, ServerException("", 47))) == "ClickHouse (code 47): Code: 47."
    assert "can't be reached" in str(explain_failure(ADDRESS, NetworkError("refused")))
    assert "refuses the user someone" in str(explain_failure(ADDRESS, ServerException(message, 516)))
    assert CANARY not in str(explain_failure(ADDRESS, ValueError(f"{CANARY}\nsecond line")))
