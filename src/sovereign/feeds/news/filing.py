"""A submission as EDGAR keeps it (one SGML file of header and documents), and a main document alone, as a `Filing`.

The header's acceptance time is New York's wall clock, whatever else says otherwise: EDGAR's own lists give it with a `Z` and
mean New York in part of their rows. The form itself and its EX-99 exhibits are read; graphics and XBRL are not text.
"""

from __future__ import annotations

import re
from datetime import datetime
from html import unescape
from zoneinfo import ZoneInfo

from sovereign.core.errors import DataError
from sovereign.core.news import Filing
from sovereign.core.session import to_ns
from sovereign.feeds.news.source import said

NEW_YORK = ZoneInfo("America/New_York")
ITEMS = {
    "1.01": "entry into a material definitive agreement",
    "1.02": "termination of a material definitive agreement",
    "1.03": "bankruptcy or receivership",
    "1.04": "mine safety",
    "1.05": "material cybersecurity incidents",
    "2.01": "completion of acquisition or disposition of assets",
    "2.02": "results of operations and financial condition",
    "2.03": "creation of a direct financial obligation",
    "2.04": "triggering events that accelerate or increase a direct financial obligation",
    "2.05": "costs associated with exit or disposal activities",
    "2.06": "material impairments",
    "3.01": "notice of delisting or failure to satisfy a continued listing rule",
    "3.02": "unregistered sales of equity securities",
    "3.03": "material modifications to rights of security holders",
    "4.01": "changes in registrant's certifying accountant",
    "4.02": "non-reliance on previously issued financial statements",
    "5.01": "changes in control of registrant",
    "5.02": "departure of directors",
    "5.03": "amendments to articles of incorporation or bylaws",
    "5.04": "temporary suspension of trading under registrant's employee benefit plans",
    "5.05": "amendments to the registrant's code of ethics",
    "5.06": "change in shell company status",
    "5.07": "submission of matters to a vote of security holders",
    "5.08": "shareholder director nominations",
    "6.01": "abs informational and computational material",
    "6.02": "change of servicer or trustee",
    "6.03": "change in credit enhancement or other external support",
    "6.04": "failure to make a required distribution",
    "6.05": "securities act updating disclosure",
    "7.01": "regulation fd disclosure",
    "8.01": "other events",
    "9.01": "financial statements and exhibits",
}
"""Items of Form 8-K by number, with the beginning of their titles in the header. Source: SEC, Form 8-K."""

_HEADER = re.compile(r"<ACCEPTANCE-DATETIME>(\d{14})")
_FIELD = re.compile(r"^[ \t]*+([A-Z][A-Z -]+):[ \t]++(.+)$", re.MULTILINE)
_TYPE = re.compile(r"<TYPE>([^\s<]+)")
_ITEM = re.compile(r"\bitem\s+(\d\.\d\d)\b", re.IGNORECASE)
_ITEM_IN_TITLE = re.compile(r"[^a-z ]")
_SPACE = re.compile(r"\s+")
_COMPANY = re.compile(r"COMPANY CONFORMED NAME:[ \t]+(.+)")
_TAG = re.compile(r"""<(/?[A-Za-z][^\s<>/"']*+)(?:[^<>"']++|"[^"]{0,4096}+"|'[^']{0,4096}+')*+>""")
_BROKEN_TAG = re.compile(r"<([!?/A-Za-z][^\s<>/]*+)[^<>]*+>")  # quotes that do not end, declarations
_ENDS = {name: re.compile(f"</{name}\\b", re.IGNORECASE) for name in ("script", "style", "ix:header", "title")}
"""Ends of what a reader does not see, by its name."""


def plain_text(document: str) -> str:
    """Return the words of an HTML or text document, spaces made single; what a reader does not see is left out.

    One pass, however broken the document is: time grows with its length and no faster.
    """
    if "<" not in document:
        return _SPACE.sub(" ", document).strip()
    parts: list[str] = []
    at = 0
    while (start := document.find("<", at)) >= 0:
        parts.append(unescape(document[at:start]))
        if document.startswith("<!--", start):
            end = document.find("-->", start + 4)
            at = len(document) if end < 0 else end + 3
            continue
        tag = _TAG.match(document, start) or _BROKEN_TAG.match(document, start)
        if tag is None:
            parts.append("<")
            at = start + 1
            continue
        at = tag.end()
        name = tag[1].lower()
        if not name.startswith("/"):
            parts.append(" ")
            if name in _ENDS and not tag[0].endswith("/>"):
                end_tag = _ENDS[name].search(document, at)
                at = len(document) if end_tag is None else end_tag.start()
    parts.append(unescape(document[at:]))
    return _SPACE.sub(" ", "".join(parts)).strip()


def item_numbers(titles: list[str]) -> tuple[str, ...]:
    """Return the numbers of items that a header names by title; a title that no item begins with is left out."""
    found = []
    for title in titles:
        words = _ITEM_IN_TITLE.sub(" ", title.lower())
        words = _SPACE.sub(" ", words).strip()
        for number, begins in ITEMS.items():
            if words.startswith(_SPACE.sub(" ", _ITEM_IN_TITLE.sub(" ", begins)).strip()):
                found.append(number)
                break
    return tuple(found)


def items_in_text(text: str) -> tuple[str, ...]:
    """Return the item numbers that a document names (`Item 2.02`), each once, as the form orders them."""
    return tuple(sorted({number for number in _ITEM.findall(text) if number in ITEMS}))


def acceptance_ns(stamp: str) -> int:
    """Return the UTC ns of an acceptance time as the header gives it: `yyyymmddhhmmss`, New York's wall clock."""
    return to_ns(datetime.strptime(stamp, "%Y%m%d%H%M%S").replace(tzinfo=NEW_YORK))


def parse_submission(content: str) -> Filing:
    """Return a complete submission text file as a filing.

    Raises
    ------
    DataError : there is no header with an acceptance time, so nobody can say when it was known; or it cannot be read.
    """
    try:
        return _parse(content)
    except (ValueError, ArithmeticError) as cause:
        raise DataError(f"the submission could not be read ({said(cause)}); it is left out") from cause


def _parse(content: str) -> Filing:
    head, *documents = content.split("<DOCUMENT>")
    stamp = _HEADER.search(head)
    if stamp is None:
        raise DataError("the submission had no acceptance time in its header; it is left out")
    fields = [(name, value.strip()) for name, value in _FIELD.findall(head)]
    first = dict(reversed(fields))
    titles = [value for name, value in fields if name == "ITEM INFORMATION"]
    texts = []
    for piece in documents:
        document, end, _ = piece.partition("</DOCUMENT>")
        if not end:
            continue
        kind = _TYPE.search(document)
        name = kind[1].upper() if kind is not None else ""
        if name == first.get("CONFORMED SUBMISSION TYPE", "").upper() or name.startswith("EX-99"):
            body, end, _ = document.partition("<TEXT>")[2].partition("</TEXT>")
            texts.append(plain_text(body if end else document))
    text = "\n".join(texts)
    company = _COMPANY.search(head)
    return Filing(
        accession=first.get("ACCESSION NUMBER", ""),
        cik=int(first.get("CENTRAL INDEX KEY", "0")),
        company=company[1].strip() if company is not None else "",
        form=first.get("CONFORMED SUBMISSION TYPE", ""),
        items=item_numbers(titles) or items_in_text(texts[0] if texts else ""),
        known_ns=acceptance_ns(stamp[1]),
        text=text,
    )


def parse_document(content: str, *, accession: str = "", company: str = "", form: str = "8-K") -> Filing:
    """Return a main document or an exhibit alone; without a header nobody can say when it was known."""
    text = plain_text(content)
    return Filing(accession=accession, cik=0, company=company, form=form, items=items_in_text(text), known_ns=None, text=text)
