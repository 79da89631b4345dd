"""Reports as files: which form, and where to. A file appears whole or not at all."""

import csv
import io
import json
import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from huntaze_pipeline.errors import HuntazeError, WarehouseError
from huntaze_pipeline.reports import page as pages
from huntaze_pipeline.reports import writing
from huntaze_pipeline.reports.figures import Answer, Table
from huntaze_pipeline.reports.page import Page

Form = Literal["html", "pdf", "png", "csv", "json"]
FORMS: tuple[Form, ...] = ("html", "pdf", "png", "csv", "json")
TYPES = {
    "html": "text/html; charset=utf-8", "pdf": "application/pdf", "png": "image/png",
    "csv": "text/csv; charset=utf-8", "json": "application/json",
}  # fmt: skip
_SHARP = 2.0
"""Pixels of a picture for one of the page's units."""


def page(found: Page, form: Form) -> bytes:
    """Return a page as HTML, PDF or PNG."""
    from huntaze_pipeline.reports import paper, pdf, screen

    if form == "html":
        return screen.html(found).encode()
    if form == "pdf":
        return pdf.of(paper.sheets(found), found.title)
    import vl_convert

    return vl_convert.svg_to_png(paper.long(found), scale=_SHARP)


def answer(found: Answer, form: Form) -> bytes:
    """Return a report in any form; CSV and JSON hold every row."""
    if form == "csv":
        return rows_csv(found.table).encode()
    if form == "json":
        return json.dumps(document(found), indent=1, ensure_ascii=False, allow_nan=False).encode()
    return page(pages.of(found), form)


def rows_csv(table: Table) -> str:
    """Return the rows as CSV: money in units, exact, with its currency beside it."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = [column.name for column in table.columns]
    writer.writerow(names)
    for row in table.rows:
        writer.writerow(["" if v is None else v for v in (_exact(table, n, row[n]) for n in names)])
    return stream.getvalue()


def document(found: Answer) -> dict[str, Any]:
    """Return a report as strict JSON: what it is, whose, as of when, and every row."""
    tenant, table = found.tenant, found.table
    return {
        "report": found.report.name,
        "title": found.report.header.title,
        "creator": tenant.id,
        "currency": tenant.currency,
        "as_of": plain(tenant.as_of),
        "parameters": {name: plain(value) for name, value in found.values.items()},
        "columns": [
            {"name": c.name, "format": c.format, "label": c.label, "definition": c.meaning}
            for c in table.columns
        ],
        "rows": rows(table),
    }


def rows(table: Table) -> list[dict[str, Any]]:
    """Return the rows as JSON's own values."""
    return [
        {c.name: plain(_exact(table, c.name, row[c.name])) for c in table.columns}
        for row in table.rows
    ]


def deliver(content: bytes, out: str, form: Form, endpoint_url: str | None = None) -> str:
    """Write a file to a path or to `s3://bucket/key`; return where it is.

    Raises:
        WarehouseError: it cannot be written there; says why.
    """
    if out.startswith("s3://"):
        return _upload(content, out, form, endpoint_url)
    target = Path(out).expanduser()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.{os.getpid()}")
        fresh.write_bytes(content)
        fresh.replace(target)
    except OSError as error:
        raise WarehouseError(f"cannot write {target}: {error.strerror or error}") from None
    return str(target)


def _upload(content: bytes, out: str, form: Form, endpoint_url: str | None) -> str:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, key = out.removeprefix("s3://").partition("/")
    if not bucket or not key or key.endswith("/"):
        raise WarehouseError(f"{out}: write s3://bucket/key")
    try:
        boto3.client("s3", endpoint_url=endpoint_url).put_object(
            Bucket=bucket, Key=key, Body=content, ContentType=TYPES[form]
        )
    except (BotoCoreError, ClientError) as error:
        raise WarehouseError(f"cannot write {out}: {error}") from None
    return out


def form_of(out: str | None, asked: str | None) -> Form:
    """Return the form asked for, else the one that the file's name ends in, else HTML.

    Raises:
        HuntazeError: there is no such form.
    """
    text = asked or (Path(out).suffix.removeprefix(".").lower() if out else "") or "html"
    for form in FORMS:
        if text == form:
            return form
    raise HuntazeError(f"no form {text!r}: write --format {', '.join(FORMS)}")


def _exact(table: Table, name: str, value: Any) -> Any:
    """Money from micro-units to units without rounding; everything else as it is."""
    if value is None or table.column(name).format != "money":
        return value
    exact = (Decimal(int(value)) / writing.MICROS).normalize()
    return exact if exact.as_tuple().exponent < -2 else exact.quantize(Decimal("0.01"))  # pyright: ignore[reportOperatorIssue]


def plain(value: Any) -> Any:
    """Return a value as JSON's own: instants and days as text, decimals as numbers."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    return value
