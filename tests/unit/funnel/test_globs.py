"""funnel.globs: only * and ? are special, a backslash escapes."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.globs import compile_globs
from tests.oracle.clauses import glob_matches


@pytest.mark.parametrize(
    ("glob", "text", "matches"),
    [
        ("*/pricing*", "https://x/pricing?y", True),
        ("*/pricing*", "/a\n/pricing\n", True),
        ("pricing", "Pricing", False),
        ("pricing", "pricing\n", False),
        ("", "", True),
        ("*", "", True),
        ("?", "", False),
        ("?", "\n", True),
        ("a\\*b", "a*b", True),
        ("a\\*b", "axb", False),
        ("a\\?", "a?", True),
        ("a\\\\", "a\\", True),
        ("a\\", "a\\", True),
        ("\\a", "a", True),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("a.c", "abc", False),
        ("a|b", "a", False),
        ("*a*b", "xaxbxb", True),
        ("*ab?*", "ab", False),
        ("**", "", True),
    ],
)
def test_glob(glob: str, text: str, matches: bool) -> None:
    """A glob matches the whole text, case-sensitively, newlines like anything else."""
    assert bool(compile_globs([glob])(text)) is matches
    assert glob_matches(glob, text) is matches


@settings(max_examples=1_000, deadline=None)
@given(st.lists(st.text("ab*?\\[\n", max_size=7), min_size=1, max_size=3), st.text("ab*?\\[\n", max_size=9))
def test_globs_as_the_oracle(globs: list[str], text: str) -> None:
    """Any of several globs may match, as the oracle's step-by-step matcher says."""
    assert bool(compile_globs(globs)(text)) == any(glob_matches(glob, text) for glob in globs)


def test_hostile_text_is_cheap() -> None:
    """A glob of many stars against a text that almost matches takes no exponential time."""
    match = compile_globs(["*a" * 30 + "b"])
    before = time.process_time()
    assert not match("a" * 20_000)
    assert time.process_time() - before < 1
