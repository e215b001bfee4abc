"""Build examples/leads.ndjson.gz and examples/leads.json from the PyPI package `leadforge`: `python -m scripts.build_sample`.

The same input gives the same bytes: everything drawn comes from seeded generators, and the archive carries no time.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from scripts.sample.arrival import lines_of
from scripts.sample.people import meet_people
from scripts.sample.stories import Story, Told
from scripts.sample.tables import LEADS, PACKAGE_VERSION, RECIPE, SEED, Lead, load_leads

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
LARGEST_BYTES = 1_000_000


class Sample(NamedTuple):
    """The sample, and what must come out of it."""

    ndjson: bytes
    facts: dict[str, Any]

    @property
    def archive(self) -> bytes:
        """The shipped file."""
        packed = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
            file.write(self.ndjson)
        return packed.getvalue()


def build() -> Sample:
    """Build the sample in memory (about 5 s)."""
    leads = load_leads()
    people = meet_people(leads)
    told = [one for lead in leads for one in Story(lead, people[lead.id]).tell()]
    lines, extra = lines_of(told)
    ndjson = "".join(f"{line}\n" for line in lines).encode()
    return Sample(
        ndjson,
        _source()
        | _expected(leads)
        | _contents(told, len(lines), extra)
        | {"sha256": hashlib.sha256(ndjson).hexdigest()},
    )


def _source() -> dict[str, Any]:
    command = f"leadforge generate --recipe {RECIPE} --seed {SEED} --n-leads {LEADS} --mode research_instructor"
    return {"source": {"package": "leadforge", "version": PACKAGE_VERSION, "licence": "MIT", "tables": command}}


def _expected(leads: list[Lead]) -> dict[str, Any]:
    """What the tables alone say, before any event is made of them."""
    deals = [lead.opportunity for lead in leads if lead.opportunity is not None]
    won = [deal for deal in deals if deal.outcome == "closed_won"]
    lost = [deal for deal in deals if deal.outcome == "closed_lost"]
    return {
        "tables": {
            "leads": len(leads),
            "leads_closed_won": sum(lead.stage == "closed_won" for lead in leads),
            "leads_closed_won_with_closing_event": len(won),
            "leads_closed_lost": sum(lead.stage == "closed_lost" for lead in leads),
            "leads_closed_lost_with_closing_event": len(lost),
            "opportunities": len(deals),
            "revenue": f"{sum(deal.amount for deal in won)}.00",
            "currency": "USD",
        }
    }


def _contents(told: list[Told], lines: int, extra: dict[str, int]) -> dict[str, Any]:
    kinds = Counter((one.event["channel"], one.event["type"]) for one in told)
    return {
        "file": {
            "lines": lines,
            "events": len(told),
            **extra,
            "unsubscribed": kinds["email", "unsubscribed"],
            "first": min(one.at for one in told).isoformat(),
            "last": max(one.at for one in told).isoformat(),
            "types": {f"{channel} {type_}": count for (channel, type_), count in sorted(kinds.items())},
        }
    }


def main() -> int:
    """Write the files; 1 if the archive would be too large to ship."""
    print("building the sample: about 5 s", file=sys.stderr)
    sample = build()
    archive = sample.archive
    if len(archive) >= LARGEST_BYTES:
        print(
            f"the archive has {len(archive):,} bytes; it must stay under {LARGEST_BYTES:,}: leave something out",
            file=sys.stderr,
        )
        return 1
    EXAMPLES.mkdir(exist_ok=True)
    (EXAMPLES / "leads.ndjson.gz").write_bytes(archive)
    (EXAMPLES / "leads.json").write_text(json.dumps(sample.facts, indent=2) + "\n")
    print(f"{sample.facts['file']['lines']:,} lines, {len(archive):,} bytes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
