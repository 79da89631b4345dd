"""Reports as files: whole, exact, in every form."""

import csv
import io
import json
import re
from datetime import UTC, date, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from huntaze_pipeline.errors import HuntazeError, WarehouseError
from huntaze_pipeline.reports import files, paper, pdf, screen
from huntaze_pipeline.reports import page as pages
from huntaze_pipeline.reports.figures import Answer, Tenant
from huntaze_pipeline.reports.figures import Table as Rows
from huntaze_pipeline.warehouse.reports import Header, Report

HEADER = {
    "title": "Campaigns <at> a glance",
    "description": "What each campaign sent.",
    "owner": "team:data",
    "parameters": {"from": "date? | first day"},
    "columns": {
        "name": "text | Campaign",
        "day": "date | Began",
        "sent": "count | Sent | messages that the platform took",
        "revenue": "money | Revenue",
        "cost": "money | Cost",
        "roi": "change | ROI",
        "reason": "text | Why no ROI",
        "currency": "hidden | Currency",
    },
    "tiles": {"Sent": "sent", "Per message": "revenue / sent", "ROI": "revenue / cost - 1"},
    "chart": {"kind": "bars", "x": "name", "y": ["revenue", "cost"], "title": "Money"},
}
AS_OF = datetime(2026, 3, 2, 12, tzinfo=UTC)


def row(place: int, name: str = "Drop", currency: str = "USD") -> dict:
    return {
        "name": name, "day": date(2026, 3, 1), "sent": 1000 + place, "revenue": 4_560_001,
        "cost": 5_000_000, "roi": -0.088, "reason": None, "currency": currency,
    }  # fmt: skip


def answer(rows: list[dict]) -> Answer:
    report = Report("campaigns", Path("campaigns.sql"), Header.model_validate(HEADER), "select")
    tenant = Tenant("maya", "Maya", "USD", "Europe/Paris", AS_OF)
    values = {"from": date(2026, 3, 1)}
    return Answer(report, tenant, values, Rows(report.columns, rows, "USD"))


def test_csv_holds_money_in_units_to_the_last_micro() -> None:
    text = files.answer(answer([row(0, 'A, "B"')]), "csv").decode()
    (found,) = csv.DictReader(io.StringIO(text))

    assert found["name"] == 'A, "B"'
    assert (found["revenue"], found["cost"], found["currency"]) == ("4.560001", "5.00", "USD")
    assert found["reason"] == ""


def test_json_says_what_it_is_whose_and_as_of_when() -> None:
    told = json.loads(files.answer(answer([row(0)]), "json"))

    assert (told["report"], told["creator"], told["as_of"]) == (
        "campaigns", "maya", "2026-03-02T12:00:00Z",
    )  # fmt: skip
    assert told["parameters"] == {"from": "2026-03-01"}
    assert told["rows"][0]["revenue"] == 4.560001
    assert told["columns"][2]["definition"] == "messages that the platform took"


def test_a_page_says_title_owner_period_instant_definitions_and_numbers() -> None:
    html = files.answer(answer([row(0), row(1, "<b>")]), "html").decode()

    for words in (
        "Campaigns &lt;at&gt; a glance", "Maya", "1 Mar 2026 · as of 2 Mar 2026, 12:00 UTC",
        "messages that the platform took", "2,001", "Settled numbers", "−8.8%", "&lt;b&gt;",
    ):  # fmt: skip
        assert words in html
    assert "Why no ROI" not in html  # nobody has one
    assert not re.search(r"<script|<link|<img|@import|@font-face|url\(", html)


def test_headline_numbers_are_sums_and_ratios_of_sums() -> None:
    tiles = pages.tiles(answer([row(0), row(1)]))
    assert [(t.label, t.number) for t in tiles] == [
        ("Sent", "2,001"), ("Per message", "455,772%"), ("ROI", "−8.8%"),
    ]  # fmt: skip


def test_money_of_several_currencies_is_not_added_up() -> None:
    found = answer([row(0), row(1, currency="EUR")])
    found.report.header.tiles["Revenue"] = "revenue"
    tile = pages.tiles(found)[-1]
    found.report.header.tiles.pop("Revenue")

    assert (tile.number, tile.note) == ("–", "in several currencies: see the table")
    assert "€4.56" in screen.html(pages.of(found))


def test_an_empty_report_is_a_page_that_says_so() -> None:
    found = answer([])
    html = files.answer(found, "html").decode()

    assert "There are no rows for this choice." in html
    assert "No data" in html
    assert files.answer(found, "csv").decode().count("\n") == 1
    assert files.answer(found, "pdf").startswith(b"%PDF")


def test_long_tables_are_cut_on_the_page_and_whole_in_the_files() -> None:
    found = answer([row(place, f"Mailing {place}") for place in range(1000)])

    html = screen.html(pages.of(found))
    assert html.count('<td class="text">Mailing ') == screen.MOST
    assert "The first 500 of 1,000 rows" in html
    assert files.answer(found, "csv").count(b"\n") == 1001
    sheets = paper.sheets(pages.of(found))
    assert sum(sheet.count(">Mailing ") for sheet in sheets) >= paper.MOST
    assert all(f"{n} / {len(sheets)}" in sheet for n, sheet in enumerate(sheets, start=1))


def test_sheets_are_a4_and_no_word_leaves_them() -> None:
    name = "An extraordinarily long campaign name that nobody would shorten, not even for paper"
    for sheet in paper.sheets(pages.of(answer([row(place, name) for place in range(90)]))):
        root = ElementTree.fromstring(sheet)
        assert (root.get("width"), root.get("height")) == ("595", "842")
        places = [float(t.get("x", "0")) for t in root.iter("{http://www.w3.org/2000/svg}text")]
        assert max(places) <= paper.WIDTH - paper.MARGIN + 1


def test_a_pdf_has_a_page_a_sheet_a_title_and_sound_references() -> None:
    found = pages.of(answer([row(place, f"Fête n° {place}") for place in range(90)]))
    sheets = paper.sheets(found)
    made = pdf.of(sheets, found.title)
    table = int(made.rpartition(b"startxref\n")[2].split()[0])
    lines = made[table:].split(b"\n")
    count = int(lines[1].split()[1])
    offsets = [int(line[:10]) for line in lines[3 : 2 + count]]

    assert b"/Count %d " % len(sheets) in made
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", made)) == len(sheets) > 1
    assert all(made[at:].startswith(b"%d 0 obj" % n) for n, at in enumerate(offsets, start=1))
    assert ("\ufeff" + found.title).encode("utf-16-be").hex().upper().encode() in made
    bodies = re.sub(rb"stream\n.*?endstream", b"", made, flags=re.S)
    assert {int(n) for n in re.findall(rb"(\d+) 0 R", bodies)} <= set(range(1, count))


def test_a_pdf_of_another_making_is_refused() -> None:
    with pytest.raises(HuntazeError, match="cannot be bound"):
        pdf.bind([b"%PDF-1.7 1 0 obj << /Type /ObjStm >> endobj"], "x")


def test_a_picture_is_a_png_of_twice_the_sharpness() -> None:
    image = files.answer(answer([row(0)]), "png")
    assert image.startswith(b"\x89PNG")
    assert int.from_bytes(image[16:20]) == 2 * paper.WIDTH


def test_a_file_appears_whole_in_a_folder_that_is_made(tmp_path: Path) -> None:
    target = tmp_path / "new" / "report.csv"
    assert files.deliver(b"a\n", str(target), "csv") == str(target)
    assert target.read_bytes() == b"a\n"
    assert [p.name for p in target.parent.iterdir()] == ["report.csv"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WarehouseError, match="cannot write"):
        files.deliver(b"", str(tmp_path / "file" / "x.csv"), "csv")
    with pytest.raises(WarehouseError, match="s3://bucket/key"):
        files.deliver(b"", "s3://bucket", "csv")


@pytest.mark.parametrize(
    ("out", "asked", "form"),
    [
        (None, None, "html"),
        ("a.pdf", None, "pdf"),
        ("a.pdf", "csv", "csv"),
        ("s3://b/a.JSON", None, "json"),
    ],
)
def test_the_form_is_the_one_asked_for_or_the_files_own(out, asked, form) -> None:
    assert files.form_of(out, asked) == form


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(HuntazeError, match="html, pdf, png, csv, json"):
        files.form_of("a.docx", None)
