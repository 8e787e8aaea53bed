"""A submission as EDGAR keeps it (one SGML file of header and documents), and a main document alone, as a `Filing`.

The header's acceptance time is New York's wall clock, whatever else says otherwise: EDGAR's own lists give it with a `Z` and
mean New York in part of their rows. The form itself and its EX-99 exhibits are read; graphics and XBRL are not text.
"""

from __future__ import annotations

import re
from datetime import datetime
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

from sovereign.core.errors import DataError
from sovereign.core.news import Filing
from sovereign.core.session import to_ns

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
_FIELD = re.compile(r"^[ \t]*([A-Z][A-Z -]+):[ \t]+(.+?)[ \t]*$", re.MULTILINE)
_DOCUMENT = re.compile(r"<DOCUMENT>(.*?)</DOCUMENT>", re.DOTALL)
_TYPE = re.compile(r"<TYPE>([^\s<]+)")
_TEXT = re.compile(r"<TEXT>(.*?)</TEXT>", re.DOTALL)
_ITEM = re.compile(r"\bitem\s+(\d\.\d\d)\b", re.IGNORECASE)
_ITEM_IN_TITLE = re.compile(r"[^a-z ]")
_SPACE = re.compile(r"\s+")
_COMPANY = re.compile(r"COMPANY CONFORMED NAME:[ \t]+(.+)")
_UNSEEN = ("script", "style", "ix:header", "title")


class _Plain(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's shape
        self._unseen += tag in _UNSEEN
        self.parts.append(" " if tag in ("span", "font", "b", "i", "u", "a", "sup", "sub") else "\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN and self._unseen:
            self._unseen -= 1

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data)


def plain_text(document: str) -> str:
    """Return the words of an HTML or text document, spaces made single; what a reader does not see is left out."""
    if "<" not in document:
        return _SPACE.sub(" ", document).strip()
    parser = _Plain()
    parser.feed(document)
    parser.close()
    return _SPACE.sub(" ", "".join(parser.parts)).strip()


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
    DataError : there is no header with an acceptance time, so nobody can say when it was known.
    """
    head, _, _ = content.partition("<DOCUMENT>")
    stamp = _HEADER.search(head)
    if stamp is None:
        raise DataError("the submission had no acceptance time in its header; it is left out")
    fields = _FIELD.findall(head)
    first = dict(reversed(fields))
    titles = [value for name, value in fields if name == "ITEM INFORMATION"]
    texts = []
    for document in _DOCUMENT.findall(content):
        kind = _TYPE.search(document)
        name = kind[1].upper() if kind is not None else ""
        if name == first.get("CONFORMED SUBMISSION TYPE", "").upper() or name.startswith("EX-99"):
            body = _TEXT.search(document)
            texts.append(plain_text(body[1] if body is not None else document))
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
