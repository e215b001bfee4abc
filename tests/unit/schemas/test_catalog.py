"""The schemas that ship are what the contract says, and never change once they did."""

from __future__ import annotations

import avro.schema
import avro.schemanormalization
import pytest

from funnel.events import Touch
from funnel.facts import AliasRow, Facts, Handoff, IdentifierRow, SharedRow, Stall, Standing, Transition
from schemas.catalog import SUBJECT_OF_CHANNEL, catalog, current
from schemas.model import Array, Primitive, Record, Union
from tests.unit.schemas.strategies import STATEMENTS

_COMMON = [
    "event_id",
    "source",
    "occurred_at",
    "anonymous_id",
    "user_id",
    "email",
    "phone",
    "account_id",
    "type",
    "campaign",
    "properties",
]
_OWN = {
    "web": "url referrer utm_source utm_medium utm_term utm_content user_agent amount currency",
    "email": "template url",
    "call": "direction duration_seconds outcome rep reason amount currency",
}
_FINGERPRINTS = {
    ("web-events", 1): (1, "eeb11ce191e270b74f44a731e81b9f5c931199a984556f69e1854653178427b8"),
    ("email-events", 1): (2, "2e6f0a89530b89f2347947df1550ff7b5b2b9de4a581b204f6a460ae11016a72"),
    ("sales-call-events", 1): (3, "27c5594e8ef7aae7bd8c2ee45ed6df072fffe6bb766dc43f5cedec3096d99a7c"),
    ("touch", 1): (4, "8db58007cd1d01ff02fa1a5291ab5164ae5a78466d57f258d97aba29bf09a57f"),
    ("tick", 1): (5, "bdd2ed2340e88769b638510d74725665b4127424460cbafb15298c1ec09a97fd"),
    ("facts", 1): (6, "546fb0f03885777fb96d8bdbd39416560f6d56ccf108bbbf23a8095237e2f4ea"),
    ("touch", 2): (7, "f5ef1db91cdd630f23defbcd35fda5f00d98e668c2a680343d47228090718799"),
    ("facts", 2): (8, "b267fad0c218a130c3dfb3e5f89ed1d9818f89f37cf91d543ab812f770d81509"),
    ("sighting", 1): (9, "73bba7156e674e0b3e1ee22f3f7e75c7c0119fa176608107a1e59b2a11273e71"),
    ("sign-ins-wanted", 1): (10, "e675f1a6b3542a2feecc9c5597c3375bf015e155c491b03cad0c439eca2f2ce3"),
    ("handover", 1): (11, "cd5de5229412764172a3ab9276245347e347848df312f8d2f67e3631609752a6"),
    ("membership", 1): (12, "381a75d10a14dbedccdb8a714b416573d4ca97955c1dc6031e119d4ea51fd43d"),
    ("reset", 1): (13, "56f459d347c8466bffd2d0912d72521c41c986bfcdf3bcf0312d4c1d336782e7"),
    ("declaration", 1): (14, "1b0b14a11d0a8dd0e7a5b978733a4dcdd36b94df8a7c415b883d2c293e7f280e"),
    ("alias", 1): (15, "bd3d12bd1053b478c174de05c339b1f888aac3002de6eb01bfae80e6a2056582"),
    ("identity-declarations", 1): (16, "652c57fa51ac7131816edf4286f9ec07b5b486d9059e8cef0526a41fa8376101"),
    ("forget", 1): (17, "ebc4b40fc08ed45add9bf9676bf85ebd21e58d623af28c644f0637855aafa8c4"),
    ("facts", 3): (19, "cd4033beea838be96c27d848cbd3d0df7919c4d81fa8bfcd279379400849f39e"),
    ("facts", 4): (20, "95a19256acdd1846153bab934e2cd8ce0dc2b58fca847058f23c2d052b2447b5"),
    ("forgotten", 1): (18, "4261b7259d9ec28644d32a6b7e0ba9bce59bf8fa4bc907f9f4c3f54bcc62ade7"),
    ("stalled-prospects", 1): (23, "b426fd78b40a45cc4ac41a2b682e8a1b99f2d8bf45211aa51ae5bf5c8b43b0ad"),
    ("touch", 3): (24, "c10334fa42d4fe2694bbe4419551023d0ad46872ab5d67e66730cb2a1a3c19e8"),
    ("facts", 5): (25, "6207e7632d359d4fa52bb1a0cc0feef75e819519b7ca2779fd213c33999bf0cd"),
    ("alert-deliveries", 1): (22, "470f614682a4c241057be6dea4fbb62ea2ab89afa9067387c361cdbfbbe25e3b"),
}
"""SHA-256 of the parsing canonical form. A change here is a change of a schema that others hold data of:
add a version instead (`v2.avsc`, an id in `ids.json`, examples)."""


@pytest.mark.parametrize("channel", _OWN)
def test_fields_are_the_contracts(channel: str) -> None:
    """Section 1 of the contract: names, order, types, and null where it says so."""
    schema = current(SUBJECT_OF_CHANNEL[channel]).schema
    assert schema.name.startswith("journey.events.v1.")
    assert [field.name for field in schema.fields] == _COMMON + _OWN[channel].split()
    for field in schema.fields:
        if field.name in ("event_id", "source", "type"):
            assert field.type == Primitive("string")
            assert not field.has_default
        elif field.name == "occurred_at":
            assert field.type == Primitive("long", "timestamp-micros")
            assert not field.has_default
        elif field.name == "properties":
            assert field.default == {}
        else:
            inner = {"amount": Primitive("bytes", "decimal", 18, 2), "duration_seconds": Primitive("int")}
            assert field.type == Union((Primitive("null"), inner.get(field.name, Primitive("string"))))
            assert field.default is None


def test_declarations_are_the_contracts() -> None:
    """Section 4, 5 of the contract: a declaration has these fields, and all of them."""
    schema = current(SUBJECT_OF_CHANNEL["declaration"]).schema
    assert schema.name == "journey.events.v1.IdentityDeclaration"
    assert [field.name for field in schema.fields] == [
        "event_id",
        "source",
        "occurred_at",
        "type",
        "weaker",
        "stronger",
    ]
    assert not any(field.has_default for field in schema.fields)
    assert set(SUBJECT_OF_CHANNEL) == {*_OWN, "declaration"}


def test_own_schemas_have_the_fields_of_our_values() -> None:
    """A field added to Touch, a statement, Facts or its rows without its schema would be lost on the way."""

    def names(record: Record) -> tuple[str, ...]:
        return tuple(field.name for field in record.fields)

    facts = current("facts").schema
    items = {field.name: field.type.items for field in facts.fields if isinstance(field.type, Array)}
    assert names(current("touch").schema) == Touch._fields
    assert names(facts) == ("prospect_id", *Facts._fields)
    assert names(current("touch").schema)[-1] == "body"  # readers stop before it
    for subject, kind in STATEMENTS.items():
        assert names(current(subject).schema) == kind._fields
    for field, kind in (
        ("transitions", Transition),
        ("standings", Standing),
        ("identifiers", IdentifierRow),
        ("removed_identifiers", IdentifierRow),
        ("aliases", AliasRow),
        ("shared", SharedRow),
        ("stalls", Stall),
        ("handoffs", Handoff),
    ):
        row = items[field]
        assert isinstance(row, Record)
        assert names(row) == kind._fields


@pytest.mark.parametrize("subject", catalog())
def test_fingerprints(subject: str) -> None:
    """The canonical form of each version is pinned, by avro-python3's own account of it."""
    for version in catalog()[subject]:
        canonical = avro.schemanormalization.ToParsingCanonicalForm(avro.schema.parse(version.text))
        fingerprint = avro.schemanormalization.Fingerprint(canonical, "sha256").hex()
        assert (version.schema_id, fingerprint) == _FINGERPRINTS[subject, version.number]


def test_subjects_and_names_are_distinct() -> None:
    """Two subjects with one record name could be taken for each other by id."""
    names = [versions[-1].schema.name for versions in catalog().values()]
    assert len(set(names)) == len(names)
