"""The console in a real Chromium, on the demo's data and on names that nobody should trust."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.console.conftest import Watched
from tests.console_rows import HOSTILE, prospect

STORY = f"/prospects/{prospect(0)}"
NO_TARGETS = "/targets?funnel=another"
PAGES = (
    "/",
    "/flow",
    "/cohorts",
    "/velocity",
    "/retention",
    "/targets",
    NO_TARGETS,
    "/campaigns",
    "/attribution",
    "/handoffs",
    "/stalled",
    "/prospects",
    "/accounts",
    "/health",
    STORY,
)
_LOADED_SECONDS = 1.0
_TRIES = 3
_LOAD = "(() => { const [n] = performance.getEntriesByType('navigation'); return n.loadEventEnd - n.startTime; })()"
PHONE = {"viewport": {"width": 375, "height": 740}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}
DARK = {"color_scheme": "dark"}
_SERIOUS = ("serious", "critical")


@pytest.mark.parametrize("path", PAGES)
def test_each_page_is_there_within_a_second(watched: Watched, path: str) -> None:
    """After a first load, with its pictures drawn and nothing in the browser's console."""
    watched.go(path)
    heading = watched.page.locator("h1")
    assert heading.is_visible()
    assert not watched.page.get_by_text("That did not work").count()
    seconds = []
    for _ in range(_TRIES):  # the machine may do something else meanwhile
        watched.go(path)
        watched.page.wait_for_function(f"{_LOAD} > 0")
        seconds.append(watched.page.evaluate(_LOAD) / 1_000)
    assert min(seconds) < _LOADED_SECONDS, seconds


@pytest.mark.parametrize("watched", [{}, PHONE], indirect=True, ids=["desk", "phone"])
@pytest.mark.parametrize("path", PAGES)
def test_nothing_sticks_out(watched: Watched, path: str) -> None:
    """No page scrolls sideways, on a phone or at a desk, whatever names are in it."""
    page = watched.go(path)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


@pytest.mark.parametrize("watched", [{}, DARK], indirect=True, ids=["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_serious(watched: Watched, path: str) -> None:
    """Names, roles, contrast and the like, in both themes, with everything unfolded."""
    page = watched.go(path)
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    found = Axe().run(page).response["violations"]
    serious = [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for one in found
        if one["impact"] in _SERIOUS
        for node in one["nodes"][:3]
    ]
    assert serious == []


@pytest.mark.parametrize("campaign", [*HOSTILE], ids=["script", "long", "rtl", "emoji", "controls"])
def test_hostile_names_harm_nothing(watched: Watched, campaign: str) -> None:
    """As a filter, in pictures, tables, links and choices: the page stays what it is, and the name means itself."""
    for path in (
        *("/", "/campaigns", "/attribution?by=campaign", "/handoffs", "/targets"),
        f"/accounts?segment={quote('@' + campaign)}",
    ):
        page = watched.go(f"{path}{'&' if '?' in path else '?'}campaign={quote(campaign)}")
        assert "harmed" not in page.title()
        assert page.locator("img").count() == 0
        assert page.evaluate("document.documentElement.dir") == ""
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    page = watched.go(f"/accounts?segment={quote('@' + campaign)}")
    assert page.locator("section:has(#accounts-title) tbody tr").count() == 1
    page = watched.go(f"/?campaign={quote(campaign)}")
    assert page.locator(".tile").first.locator("dd").inner_text() == "6"
    assert page.locator("select[name=campaign]").input_value() == campaign


@pytest.mark.parametrize(("path", "down"), [("/handoffs", 70), ("/targets", 28)])
def test_tooltips_are_text(watched: Watched, path: str, down: int) -> None:
    """A picture tells a name as it is."""
    page = watched.go(path)
    box = page.locator("[data-chart]").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + down)
    page.locator(".tooltip").first.wait_for()
    assert page.locator(".tooltip script, .tooltip img").count() == 0
    assert page.locator(".tooltip b").first.inner_text() != ""
    assert "harmed" not in page.title()


def test_filters_stand_in_the_address_and_go_back(watched: Watched) -> None:
    """A choice reloads the page at once, the address tells it, and the browser's button takes it back."""
    page = watched.go("/")
    everyone = int(page.locator(".tile dd").first.inner_text().replace(",", ""))
    page.locator("select[name=campaign]").select_option("spring")
    page.wait_for_url(re.compile(r"campaign=spring"))
    assert page.locator(".tile dd").first.inner_text() == "6"
    assert "channel=" not in page.url, "what was not chosen is not in the address"
    page.get_by_role("link", name="Campaigns").click()
    page.wait_for_url(re.compile(r"/campaigns\?.*campaign=spring"))
    page.go_back()
    page.go_back()
    assert int(page.locator(".tile dd").first.inner_text().replace(",", "")) == everyone > 900


def test_a_download_is_what_the_table_shows(watched: Watched, tmp_path: Path) -> None:
    """CSV by a click, with the filters of the page."""
    page = watched.go("/?campaign=spring")
    with page.expect_download() as started:
        page.get_by_role("link", name="Funnel: download as CSV").click()
    started.value.save_as(tmp_path / "funnel.csv")
    assert started.value.suggested_filename == "funnel.csv"
    found = list(csv.DictReader(io.StringIO((tmp_path / "funnel.csv").read_text())))
    shown = page.locator("section:has(#funnel-title) tbody tr").all()
    assert [row["entered"] for row in found] == [row.locator("td").nth(0).inner_text() for row in shown]


def test_sql_is_shown_and_copied(watched: Watched) -> None:
    """What is copied is what is shown, with its values."""
    page = watched.go("/?campaign=spring")
    page.locator("section:has(#funnel-title) details.sql summary").click()
    page.locator("section:has(#funnel-title) .copy").click()
    page.get_by_text("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#funnel-sql").text_content()
    assert "first_campaign = 'spring'" in copied


@pytest.mark.parametrize("path", ["/", "/accounts", NO_TARGETS])
def test_everything_is_reached_by_keyboard(watched: Watched, path: str) -> None:
    """Tab comes by every link, control and fold that can be seen, in each case visibly; "/" goes to the search; the first Tab offers to skip."""
    page = watched.go(path)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    watched.go(path)  # from the top again
    page.evaluate("window.reached = new Set()")
    wanted = page.evaluate(
        """() => [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, summary')]
            .filter((one) => one.checkVisibility() && !one.closest('details:not([open]) > :not(summary)')).length"""
    )
    for _ in range(3 * wanted):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            """() => {
              const one = document.activeElement;
              if (one === document.body) return 'end';
              if (one.matches('a[href], button, input, select, summary')) window.reached.add(one);
              const style = getComputedStyle(one);
              return style.outlineStyle !== 'none' || one.matches('.skip') ? 'visible' : one.outerHTML.slice(0, 200);
            }"""
        )
        if seen == "end":
            break
        assert seen == "visible"
    assert page.evaluate("window.reached.size") >= wanted


def test_the_theme_is_chosen_and_kept(watched: Watched) -> None:
    """The button turns it around, pictures too; the next page keeps it."""
    page = watched.go("/")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Change between light and dark").click()
    after = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert before != after
    watched.go("/flow")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == after


def test_a_prospect_is_found_and_explained(watched: Watched) -> None:
    """From the search to the story of one, with the clause of each move; what was looked for is not in the address."""
    page = watched.go("/")
    page.keyboard.press("/")
    page.keyboard.type(str(prospect(0)))
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/prospects/" + str(prospect(0))))
    assert page.get_by_text("awareness.enter").first.is_visible()
    watched.go("/prospects")
    page.locator("td .status, th a.mono").first.wait_for()
    page.locator("th a.mono").first.click()
    page.wait_for_url(re.compile(r"/prospects/[0-9a-f-]{36}"))
    assert page.locator(".move-why").count() > 0


def test_without_scripts_everything_is_there(browser: Browser, address: str) -> None:
    """Tables, filters and SQL need none."""
    context = browser.new_context(base_url=address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/flow")
    page.locator("summary", has_text="Table").first.click()
    assert page.locator("td", has_text="awareness").first.is_visible()
    assert page.get_by_role("button", name="Apply").is_visible()
    page.goto("/targets")
    assert page.locator("section:has(#targets-title) th", has_text="Revenue").first.is_visible()
    page.goto("/retention")
    assert page.locator("td.heat-open").first.is_visible()
    page.goto("/accounts")
    page.get_by_role("link", name="Won", exact=True).click()
    assert "status=won" in page.url
    context.close()


def test_a_target_is_met_or_not_in_words_too(watched: Watched) -> None:
    """What the picture shows by lengths stands in the table: the tooltip of a bar tells the same numbers."""
    page = watched.go("/targets")
    row = page.locator("section:has(#targets-title) tbody tr").first
    box = page.locator("[data-chart='targets-data']").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 28)
    page.locator(".tooltip").first.wait_for()
    told = dict(line.split("\n") for line in page.locator(".tooltip-row").all_inner_texts())
    shown = row.locator("td").all_inner_texts()
    assert [told["Actual"], told["Target"], told["Expected by now"]] == [shown[1], shown[2], shown[4]]
    assert shown[6] in ("yes", "no", "–")


def test_pictures_bring_their_data_as_data(watched: Watched) -> None:
    """JSON that no name can end, with names that are cut."""
    page = watched.go("/handoffs")
    texts = page.locator("script[type='application/json']").all_text_contents()
    labels = [label for text in texts for label in json.loads(text)["labels"]]
    assert any("<script>" in label for label in labels)
    assert all(len(label) < 250 for label in labels)
