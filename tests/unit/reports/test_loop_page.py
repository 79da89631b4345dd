import re
from html.parser import HTMLParser

import pytest

from huntaze_pipeline.reports import loop, writing

CAMPAIGN = {
    "id": "c1",
    "name": "Flash <Sale>",
    "audience": 2100,
    "sent": 1904,
    "opened": 930,
    "clicked": 410,
    "converted": 77,
    "revenue": 5120.4,
    "cost": 820.0,
    "roi": 5.24,
}
FREE = {"id": "c2", "name": "Welcome", "audience": 300, "sent": 211, "opened": 60, "clicked": 12,
        "converted": 1, "revenue": 22.0, "cost": 0.0, "roi": None}  # fmt: skip
SAMPLE = {
    "events": 1_620_000,
    "fans": 2469,
    "seconds": 74.2,
    "campaigns": [CAMPAIGN, FREE],
    "live_campaigns": [{**FREE, "id": "l1", "roi": -0.77, "cost": 95.0}],
    "segments": [{"name": "vip", "size": 212}, {"name": "at risk", "size": 640}],
    "revenue": {"total": 4596039.58, "attributed": 312450.11, "unattributed": 4283589.47},
    "timeline": [
        {
            "day": f"2026-02-{d:02d}",
            "sent": d,
            "clicked": d // 2,
            "converted": d // 5,
            "revenue": 1000.0 * d,
        }
        for d in range(1, 28)
    ],
    "experiments": {
        "analysed": 2,
        "by_state": {"winner": 1, "no_winner": 1},
        "winners": [{"experiment": "Subject", "variant": "question"}],
        "arms": [
            {
                "experiment": "Subject",
                "variant": "plain",
                "n": 950,
                "rate": 0.081,
                "ci": [0.065, 0.1],
            },
            {
                "experiment": "Subject",
                "variant": "question",
                "n": 954,
                "rate": 0.139,
                "ci": [0.118, 0.162],
            },
            {"experiment": "Empty", "variant": "only", "n": 0, "rate": 0.0, "ci": None},
        ],
    },
    "automations": [{"name": "Welcome", "entered": 95, "messages": 182}],
    "messages": {
        "by_status": {"sent": 2115, "skipped": 285},
        "skipped_by_reason": {"no_consent": 120},
    },
    "limiter": {
        "accounts": 200,
        "max_in_any_60s": 10,
        "bans": 0,
        "limit": 10,
        "per_minute": [
            {"minute": f"2026-03-02T12:{m:02d}:00Z", "sends": 40 * m, "busiest": m}
            for m in range(11)
        ],
    },
    "reconciliation": {
        "balanced": True,
        "rows": [{"campaign": "Flash", "audience": 2100, "sent": 1904}],
    },
    "notes": ["Opens are derived: a click implies an open."],
}


class Page(HTMLParser):
    """Every tag must be closed; collects what a reader sees."""

    VOID = frozenset({"meta", "br", "path", "rect", "line"})

    def __init__(self):
        super().__init__()
        self.open, self.words, self.ids, self.links = [], [], [], []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values[k] for k in ("src", "href", "xlink:href") if k in values]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in ("meta", "br"):
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def html():
    return loop.render(SAMPLE)


@pytest.fixture(scope="module")
def page(html):
    page = Page()
    page.feed(html)
    assert page.open == []
    return page


def test_the_page_stands_alone(html, page):
    assert not re.search(r"<script|<link|<img|@import|@font-face", html)
    assert not re.search(r'(?:src|href)="(?!#)', html)
    assert not re.findall(r"url\((?!#)", html)
    assert all(link.startswith("#") for link in page.links)
    assert len(page.ids) == len(set(page.ids))


def test_the_headline_numbers_are_there(page):
    text = " ".join(page.words)
    for number in ("2,326", "79", "$312,450", "6.8% of $4,596,040", "10 of 10", "2,469"):
        assert number in text


def test_every_chart_is_drawn(html):
    assert html.count('class="chart wide"') == 10
    assert html.count("<svg ") == html.count('role="img"') == 3 * 10


def test_names_cannot_break_the_page(html):
    assert "Flash <Sale>" not in html
    assert "Flash &lt;Sale&gt;" in html


def test_a_return_without_a_cost_is_no_number(page):
    text = " ".join(page.words)
    assert "no cost known" in text
    assert "+524%" in text
    assert "−77%" in text


def test_a_broken_limit_is_said_aloud():
    broken = {
        "limiter": {"accounts": 3, "max_in_any_60s": 11, "bans": 1, "limit": 10, "per_minute": []}
    }
    html = loop.render(broken)
    assert re.search(r'class="badge bad">broken', html)
    assert "Bans: 1" in html


def test_an_empty_report_is_still_a_page():
    page = Page()
    page.feed(loop.render({}))
    assert page.open == []
    assert "Campaign report" in " ".join(page.words)


def test_many_campaigns_are_cut_in_the_chart_and_kept_in_the_table():
    many = [
        {**CAMPAIGN, "id": str(i), "name": f"Campaign {i}", "revenue": 10.0 * i} for i in range(60)
    ]
    html = loop.render({"campaigns": many})
    assert html.count('<td class="text">Campaign ') == 60


def test_campaigns_of_one_name_stay_apart():
    html = loop.render({"campaigns": [CAMPAIGN, {**CAMPAIGN, "id": "c9"}]})
    assert "Flash &lt;Sale&gt; (c9)" in html


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0%"), (0.0047, "0.47%"), (0.084, "8.4%"), (1.0, "100%"), (None, "–")]
)
def test_shares_have_the_digits_they_need(share, text):
    assert writing.percent(share) == text


@pytest.mark.parametrize(("value", "text"), [(999.5, "$999.50"), (-1234.5, "−$1,234"), (None, "–")])
def test_money_is_readable(value, text):
    assert writing.money(value) == text
