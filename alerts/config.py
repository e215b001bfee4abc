"""Who is told, how and when: the file `alerts.toml`.

A route says which alerts go to which targets, and when. Every route that matches an alert sends it; what no route matches is told nobody,
and is in the table `stalls` all the same. Secrets stay in the environment: the file names the variables.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from alerts.errors import AlertsFileError
from alerts.render import check_template
from funnel.calendar import parse_zone
from funnel.durations import checked_duration

_NAME = r"^[a-z0-9][a-z0-9-]{0,59}$"
_DAILY = re.compile(r"daily ([01]\d|2[0-3]):([0-5]\d)(?: ([\w+-]+(?:/[\w+-]+)*))?")
_LIMIT = re.compile(r"([1-9]\d{0,5}) per (minute|hour|day)")
_PERIODS = {"minute": 60, "hour": 3_600, "day": 86_400}
_MODEL = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
Environment = Mapping[str, str]


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _check_when(text: str) -> str:
    daily = _DAILY.fullmatch(text)
    if text not in ("now", "hourly") and daily is None:
        raise ValueError(
            'expected "now", "hourly", or "daily HH:MM" with a time zone, such as "daily 08:30 Europe/Berlin"'
        )
    if daily is not None and daily[3]:
        try:
            parse_zone(daily[3])
        except ValueError:
            raise ValueError(
                f"expected a time zone of the IANA database, such as Europe/Berlin, not {daily[3]}"
            ) from None
    return text


def _check_limit(text: str) -> str:
    if not _LIMIT.fullmatch(text):
        raise ValueError('expected a number per minute, hour or day, such as "20 per hour"')
    return text


def _check_http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("expected an http(s) URL without user and password")
    return url


Duration = Annotated[str, AfterValidator(checked_duration)]
Globs = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
Template = Annotated[str, AfterValidator(check_template)]
HttpUrl = Annotated[str, AfterValidator(_check_http_url)]


class _Target(BaseModel):
    """What all targets have."""

    model_config = _MODEL

    from_environment: ClassVar[str]
    """The field that comes from the environment, by the variable that the field of this name and `_env` names."""
    timeout: Duration = "10s"
    """How long the other side may take to answer."""
    give_up_after: Duration = "24h"
    """For how long it is tried again; then it has failed, and is shown."""
    allow_private: bool = False
    """Whether its address may be loopback, private or otherwise not of the public internet."""
    resolved: bool = True
    """Whether it is told, too, that somebody is no longer stalled."""


class WebhookTarget(_Target):
    """Signed JSON, by the rules of Standard Webhooks (standardwebhooks.com)."""

    from_environment: ClassVar[str] = "secret"
    type: Literal["webhook"]
    url: HttpUrl
    secret_env: str
    """The environment variable with the secret that both sides know."""
    secret: SecretStr = SecretStr("")
    """From there."""


class AlertmanagerTarget(_Target):
    """Prometheus Alertmanager, API v2."""

    from_environment: ClassVar[str] = "token"
    type: Literal["alertmanager"]
    url: HttpUrl
    """Where it is, without `/api/v2/alerts`."""
    token_env: str | None = None
    """The environment variable with a bearer token."""
    token: SecretStr = SecretStr("")


class AppriseTarget(_Target):
    """Slack, Teams, e-mail, PagerDuty and a hundred more, by Apprise (github.com/caronc/apprise)."""

    from_environment: ClassVar[str] = "url"
    type: Literal["apprise"]
    url_env: str
    """The environment variable with the service's Apprise URL, which holds its secrets."""
    url: SecretStr = SecretStr("")
    resolved: bool = False


Target = Annotated[WebhookTarget | AlertmanagerTarget | AppriseTarget, Field(discriminator="type")]


class Route(BaseModel):
    """Which alerts go where, and when. What isn't given matches anything; text by glob, a list by any of its."""

    model_config = _MODEL

    name: Annotated[str, Field(pattern=_NAME)]
    to: Annotated[tuple[Annotated[str, Field(pattern=_NAME)], ...], BeforeValidator(_as_tuple), Field(min_length=1)]
    """Targets."""
    kind: Globs = ("*",)
    funnel: Globs = ("*",)
    stage: Globs = ("*",)
    team: Globs = ("*",)
    rep: Globs = ("*",)
    account: Globs = ("*",)
    campaign: Globs = ("*",)
    min_amount: Annotated[float, Field(ge=0)] = 0
    currency: str = ""
    """Of `min_amount`; '': any."""
    min_level: Annotated[int, Field(ge=0)] = 0
    """From which escalation on."""
    max_level: Annotated[int, Field(ge=0)] | None = None
    """Up to which."""
    when: Annotated[str, AfterValidator(_check_when)] = "now"
    limit: Annotated[str, AfterValidator(_check_limit)] = "20 per hour"
    """Messages to each target; what is beyond goes in one digest when the time is over."""
    subject: Template | None = None
    body: Template | None = None

    @property
    def most(self) -> int:
        """How many messages go to a target in `period`."""
        found = _LIMIT.fullmatch(self.limit)
        assert found is not None  # it was checked
        return int(found[1])

    @property
    def period(self) -> int:
        """Seconds that the limit speaks of."""
        found = _LIMIT.fullmatch(self.limit)
        assert found is not None
        return _PERIODS[found[2]]

    @property
    def daily(self) -> tuple[int, int, ZoneInfo] | None:
        """At which hour and minute, where, a day's digest goes out; None where there is none."""
        found = _DAILY.fullmatch(self.when)
        return None if found is None else (int(found[1]), int(found[2]), ZoneInfo(found[3] or "UTC"))

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        if self.max_level is not None and self.max_level < self.min_level:
            raise ValueError(f"expected max_level to be at least min_level ({self.min_level})")
        if self.currency and not self.min_amount:
            raise ValueError("expected min_amount beside currency")
        return self


class Alerts(BaseModel):
    """The whole file."""

    model_config = _MODEL

    targets: dict[Annotated[str, Field(pattern=_NAME)], Target]
    routes: tuple[Route, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = [route.name for route in self.routes]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two routes are named {name}; expected names of their own")
        for route in self.routes:
            for target in route.to:
                if target not in self.targets:
                    known = ", ".join(self.targets) or "none"
                    raise ValueError(f"route {route.name}: to: expected targets of this file ({known}), not {target}")
        return self

    def route(self, name: str) -> Route | None:
        """The route of this name."""
        return next((route for route in self.routes if route.name == name), None)


def load_alerts(path: Path, environment: Environment) -> Alerts:
    """Read `alerts.toml`.

    Args:
        path: of the file.
        environment: where the secrets are that it names.

    Raises:
        AlertsFileError: it can't be read, or something in it is wrong; names file, key and what was expected, and no secret.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise AlertsFileError(f"{path}: expected a readable TOML file ({error})") from None
    try:
        found = Alerts.model_validate(document)
    except ValidationError as error:
        raise AlertsFileError("\n".join(f"{path}: {_explained(problem)}" for problem in error.errors())) from None
    targets = {name: _with_secrets(path, name, target, environment) for name, target in found.targets.items()}
    return found.model_copy(update={"targets": targets})


def _with_secrets(path: Path, name: str, target: Any, environment: Environment) -> Any:
    secret = target.from_environment
    variable = getattr(target, f"{secret}_env")
    if variable is None:
        return target
    value = environment.get(variable, "")
    if not value:
        raise AlertsFileError(
            f"{path}: targets.{name}.{secret}_env: expected the environment variable {variable} to be set"
        )
    return target.model_copy(update={secret: SecretStr(value)})


def _explained(problem: Any) -> str:
    """One mistake: its key, and what was expected."""
    kinds = ("webhook", "alertmanager", "apprise")
    place = ".".join(str(part) for part in problem["loc"] if part not in kinds)
    message = problem["msg"].removeprefix("Value error, ")
    return f"{place}: {message[:1].lower()}{message[1:]}" if place else message
