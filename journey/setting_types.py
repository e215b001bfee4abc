"""Kinds of values that settings have."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from funnel.durations import checked_duration, parse_duration

Duration = Annotated[str, AfterValidator(checked_duration)]
"""As funnel files have them: `90d`."""


def duration_within(least: str = "", most: str = "") -> AfterValidator:
    """What a `Duration` must keep to, beside being one.

    Args:
        least: the shortest that is allowed; empty: any is.
        most: the longest, likewise.
    """
    expected = (
        f"expected {least} to {most}"
        if least and most
        else f"expected at {f'least {least}' if least else f'most {most}'}"
    )

    def check(value: str) -> str:
        found = parse_duration(value)
        if (least and found < parse_duration(least)) or (most and found > parse_duration(most)):
            raise ValueError(expected)
        return value

    return AfterValidator(check)


def split_list(value: object) -> object:
    """Lists come from the environment as `a,b`, from TOML as lists."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
