"""One lead's rows -> the events that the tools of a real stack would have sent.

What the tables say is kept: who, which day, which channel, which outcome, which amount. What they don't say (the minute, which page, whether a mail was
opened) is drawn from a generator seeded by the lead, so that a lead's story never changes.
"""

from __future__ import annotations

import random
from datetime import date, datetime
from typing import Any, NamedTuple

from scripts.sample import catalogue
from scripts.sample.clock import HOUR, MINUTE, QUARTER, Day
from scripts.sample.people import Person
from scripts.sample.tables import SEED, Lead, Row


class Told(NamedTuple):
    """An event and when it happened."""

    at: datetime
    event: dict[str, Any]


class Story:
    """The events of one lead, in the order in which they are told."""

    def __init__(self, lead: Lead, person: Person) -> None:
        self.lead = lead
        self.person = person
        self.events: list[Told] = []
        self._rng = random.Random(f"{SEED}:story:{lead.id}")
        self._campaign = catalogue.campaign_of(lead, self._rng)
        self._outcomes = _outcomes_of_calls(lead)

    def tell(self) -> list[Told]:
        """Go through the lead's days."""
        lead = self.lead
        deal = lead.opportunity
        days = {lead.created} | {row.day for row in (*lead.touches, *lead.sessions, *lead.activities)}
        if deal is not None:
            days |= {deal.created} | ({deal.closed} if deal.closed else set())
        for day in sorted(days):
            self._tell_day(day)
        return self.events

    def _tell_day(self, day: date) -> None:
        lead, deal = self.lead, self.lead.opportunity
        closing = deal is not None and deal.closed == day
        clock = Day(day, self.person.utc_offset, self._rng, closing=closing)
        after = 0
        if lead.created == day:
            after = self._created(clock)
        if deal is not None and deal.created == day:
            after = self._qualified(clock, after)
        touched = [self._touch(clock, touch, after) for touch in lead.touches if touch.day == day]
        for session in lead.sessions:
            if session.day == day:
                self._session(clock, session, min(touched, default=after))
        for activity in lead.activities:
            if activity.day == day:
                self._activity(clock, activity, after)
        if closing:
            self._closed(clock)

    # What happens

    def _created(self, clock: Day) -> int:
        """A lead comes into being: an ad clicked, a partner's word, a name on a call list."""
        lead, key = self.lead, self.lead.id
        if lead.lead_source == "sdr_outbound":
            at = clock.at_work()
            self._mail(clock, key, "intro", at, opens=35, clicks=8, replies=3)
            return at
        at = clock.at_leisure()
        if lead.lead_source == "partner_referral":
            self._web(
                clock,
                f"{key}.1",
                "referral",
                at,
                "/partners/welcome",
                properties={"partner": self._campaign.removeprefix("partner-")},
            )
            return at
        self._web(clock, f"{key}.1", "page_view", at, catalogue.landing_page(self._campaign), arrived=True)
        at += self._rng.randrange(40, 6 * MINUTE)
        if self._rng.randrange(100) < 30:
            self._web(clock, f"{key}.2", "form_submit", at, "/contact", properties={"form": "contact"})
        else:
            self._web(clock, f"{key}.2", "signup", at, "/newsletter", properties={"form": "newsletter"})
        return at

    def _qualified(self, clock: Day, after: int) -> int:
        """The opportunity: an inbound lead asks for a demo, then a rep speaks with the lead and opens the deal."""
        lead, deal = self.lead, self.lead.opportunity
        assert deal is not None
        if lead.lead_source == "inbound_marketing":
            after = clock.at_leisure(after)
            self._web(clock, f"{deal.id}.1", "demo_request", after, "/demo", properties={"form": "demo"})
            after += self._rng.randrange(10 * MINUTE, HOUR)
        at = clock.at_work(after)
        minutes = self._rng.randrange(8, 35)
        self._call(
            clock,
            f"{deal.id}.qualified",
            "completed",
            at,
            outcome="qualified",
            minutes=minutes,
            properties={"opportunity": deal.id},
        )
        return at + minutes * MINUTE

    def _touch(self, clock: Day, touch: Row, after: int) -> int:
        if touch.kind == "call":
            return self._touch_call(clock, touch, after)
        if touch.detail == "outbound":
            at = clock.at_work(after)
            opens, clicks, replies = catalogue.RESPONSE[touch.kind]
            self._mail(clock, touch.id, touch.kind, at, opens=opens, clicks=clicks, replies=replies)
            if _gives_up(self.lead, touch) and self._rng.randrange(2):
                at = clock.later(at, 10 * MINUTE, 4)
                self._email(clock, f"{touch.id}.unsubscribed", "unsubscribed", at, touch.kind)
            return at
        at = clock.at_leisure(after)
        if touch.kind == "content_download":
            asset = self._rng.choice(catalogue.ASSETS)
            self._web(
                clock,
                touch.id,
                "content_download",
                at,
                f"/resources/{asset}",
                arrived=True,
                properties={"asset": asset},
            )
        elif touch.kind == "webinar":
            webinar = self._rng.choice(catalogue.WEBINARS)
            self._web(
                clock,
                touch.id,
                "webinar_signup",
                at,
                f"/webinars/{webinar}",
                arrived=True,
                properties={"webinar": webinar},
            )
        elif touch.kind == "linkedin_message":
            self._web(clock, touch.id, "page_view", at, self._rng.choice(catalogue.ARTICLES), arrived=True, social=True)
        else:
            self._mail(clock, touch.id, "newsletter", at, opens=70, clicks=30, replies=4)
        return at

    def _touch_call(self, clock: Day, touch: Row, after: int) -> int:
        at = clock.at_work(after)
        if touch.detail == "inbound":
            self._call(clock, touch.id, "completed", at, direction="inbound", minutes=self._rng.randrange(1, 12))
            return at
        type_ = self._rng.choices(("completed", "no_answer", "voicemail"), (30, 45, 25))[0]
        spoken = type_ == "completed"
        outcome = "follow_up" if spoken and self._rng.randrange(2) else None
        self._call(clock, touch.id, type_, at, outcome=outcome, minutes=self._rng.randrange(1, 9) if spoken else None)
        return at

    def _session(self, clock: Day, session: Row, after: int) -> None:
        at = clock.at_leisure(after + 5 * MINUTE)
        pages = catalogue.pages_of(session, self._rng)
        pause = max(1, session.seconds // len(pages))
        for number, page in enumerate(pages, 1):
            self._web(clock, f"{session.id}.{number}", "page_view", at, page)
            at += self._rng.randrange(pause // 2, pause + pause // 2 + 1)

    def _activity(self, clock: Day, row: Row, after: int) -> None:
        at = clock.at_work(after)
        if row.kind == "email":
            opens, clicks, replies = catalogue.REP_MAIL[row.detail]
            self._mail(clock, row.id, "rep", at, opens=opens, clicks=clicks, replies=replies)
            return
        type_, outcome = catalogue.CALL_TYPE[row.kind != "call", row.detail], self._outcomes.get(row.id)
        minutes = self._rng.randrange(5, 60) if type_ == "completed" else None
        reason = "no show" if type_ == "cancelled" else None
        source = "aircall" if row.kind == "call" else "hubspot"
        if source == "hubspot":
            at = -(-at // QUARTER) * QUARTER  # calendars know quarters of an hour
        self._call(
            clock,
            row.id,
            type_,
            at,
            outcome=outcome,
            minutes=minutes,
            rep=row.rep,
            reason=reason,
            source=source,
            properties={"activity": row.kind},
        )

    def _closed(self, clock: Day) -> None:
        deal = self.lead.opportunity
        assert deal is not None
        won = deal.outcome == "closed_won"
        self._call(
            clock,
            f"{deal.id}.closed",
            "completed",
            clock.closing(),
            outcome="won" if won else "lost",
            minutes=self._rng.randrange(10, 50),
            amount=deal.amount,
            reason=None if won else catalogue.lost_reason(self.lead, self._rng),
            source="hubspot",
            properties={"opportunity": deal.id, "plan": deal.plan} if won else {"opportunity": deal.id},
        )

    # How it is sent

    def _mail(self, clock: Day, key: str, template: str, at: int, *, opens: int, clicks: int, replies: int) -> None:
        """A mail (or message) to the lead and what comes of it; chances in percent, of clicks and replies among those who open."""
        if template not in (
            "rep",
            "linkedin_message",
        ):  # a rep's own mailbox and LinkedIn tell of no delivery, only of what comes back
            self._email(clock, f"{key}.delivered", "delivered", at, template)
        if self._rng.randrange(100) >= opens:
            return
        at = clock.later(at, 2 * MINUTE, 7)
        self._email(clock, f"{key}.opened", "opened", at, template)
        if self._rng.randrange(100) < clicks:
            at = clock.later(at, 15, 3)
            self._email(
                clock,
                f"{key}.clicked",
                "clicked",
                at,
                template,
                url=catalogue.SITE + self._rng.choice(catalogue.ARTICLES),
            )
        if self._rng.randrange(100) < replies:
            self._email(clock, f"{key}.replied", "replied", clock.later(at, 5 * MINUTE, 4), template)

    def _web(
        self,
        clock: Day,
        key: str,
        type_: str,
        at: int,
        path: str,
        *,
        arrived: bool = False,
        social: bool = False,
        properties: dict[str, str] | None = None,
    ) -> None:
        """Args: arrived: through a campaign's link, which the url's utm fields tell."""
        source, medium = ("linkedin", "social") if social else catalogue.utm_of(self._campaign)
        event: dict[str, Any] = {"event_id": key, "source": "website", "type": type_, "channel": "web"}
        event |= {"email": self.person.email, "anonymous_id": self.person.anonymous_id, "url": catalogue.SITE + path}
        if arrived:
            event |= {
                "campaign": self._campaign,
                "utm_source": source,
                "utm_medium": medium,
                "referrer": catalogue.REFERRER.get(source),
            }
        event |= {"user_agent": self.person.user_agent, "properties": properties}
        if properties is not None and "form" in properties:
            event["account_id"] = self.lead.account_id
        self._send(clock, at, event)

    def _email(self, clock: Day, key: str, type_: str, at: int, template: str, *, url: str | None = None) -> None:
        source = "linkedin" if template == "linkedin_message" else "sendgrid"
        event = {"event_id": key, "source": source, "type": type_, "channel": "email", "email": self.person.email}
        self._send(
            clock,
            at,
            event | {"campaign": None if template == "rep" else self._campaign, "template": template, "url": url},
        )

    def _call(
        self,
        clock: Day,
        key: str,
        type_: str,
        at: int,
        *,
        outcome: str | None = None,
        minutes: int | None = None,
        direction: str = "outbound",
        rep: str | None = None,
        reason: str | None = None,
        amount: int | None = None,
        source: str = "aircall",
        properties: dict[str, str] | None = None,
    ) -> None:
        event: dict[str, Any] = {"event_id": key, "source": source, "type": type_, "channel": "call"}
        event |= {
            "email": self.person.email,
            "phone": self.person.phone if source == "aircall" else None,
            "account_id": self.lead.account_id,
        }
        event |= {
            "direction": direction,
            "duration_seconds": None if minutes is None else minutes * MINUTE + self._rng.randrange(MINUTE),
        }
        event |= {"outcome": outcome, "rep": rep or self.lead.rep, "reason": reason, "properties": properties}
        if amount is not None:
            event |= {"amount": f"{amount}.00", "currency": "USD"}
        self._send(clock, at, event)

    def _send(self, clock: Day, at: int, event: dict[str, Any]) -> None:
        self.events.append(Told(clock.moment(at), {name: value for name, value in event.items() if value is not None}))


def _outcomes_of_calls(lead: Lead) -> dict[str, str]:
    """What came of each conversation with the lead, by activity: the deal's stages one after the other, as far as it came.

    The tables tell how far a deal came, and when reps spoke with the lead, but not in which conversation it went further: so it is the earliest ones.
    A deal that never got to a demo ends, as far as the tables go, in being nurtured.
    """
    spoken = [
        row
        for row in lead.activities
        if row.kind != "email" and catalogue.CALL_TYPE[row.kind != "call", row.detail] == "completed"
    ]
    deal = lead.opportunity
    if deal is None:
        return {row.id: "follow_up" for row in spoken}
    steps = list(catalogue.steps_of(deal))
    after = [row for row in spoken if row.day >= deal.created]
    outcomes = {row.id: steps.pop(0) if steps and row in after else "follow_up" for row in spoken}
    if deal.stage in ("sql", "demo_scheduled") and after:
        outcomes[after[-1].id] = "nurture"
    return outcomes


def _gives_up(lead: Lead, touch: Row) -> bool:
    """Whether the lead was lost before any deal, and this is the last that was heard of it. The tables have no day for such a loss."""
    last = max((row.day for row in (*lead.touches, *lead.sessions, *lead.activities)), default=None)
    return (
        lead.stage == "closed_lost"
        and lead.opportunity is None
        and touch is lead.touches[-1]
        and touch.day == last
        and lead.created < touch.day
    )
