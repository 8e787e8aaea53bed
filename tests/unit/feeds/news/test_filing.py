"""Submissions as EDGAR keeps them: items, acceptance time, text. Expected values are the SEC's own documents."""

import csv
import gzip
import math
import sys
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from fakes.news_server import submission
from sovereign.core.errors import DataError
from sovereign.core.session import to_ns
from sovereign.feeds.news.filing import (
    acceptance_ns,
    item_numbers,
    items_in_text,
    parse_document,
    parse_submission,
    plain_text,
)
from sovereign.signals.news import without_cover
from sovereign.signals.sentiment import tone_of

NEW_YORK = ZoneInfo("America/New_York")
# file: company, items, acceptance in New York, a sentence of the text, least tone, most tone
DOCUMENTS = {
    "raw/0001045810-26-000024.txt.gz": ("NVIDIA CORP", ("5.02", "9.01"), "2026-03-06 16:11:25", "NVIDIA", 0.3, 1),
    "raw/0000950137-05-004969.txt.gz": ("EXELON CORP", ("5.02",), "2005-04-27 12:25:50", "Exelon", None, None),
    "raw/0000019617-26-000241.txt.gz": ("JPMORGAN CHASE & CO", ("5.02",), "2026-06-25 07:59:33", "JPMorgan", -0.2, 0.7),
    "raw/0000066740-24-000023.txt.gz": ("3M CO", ("8.01",), "2024-03-08 12:01:45", "Solventum", 0.2, 1),
    "raw/0000796343-23-000044.txt.gz": ("ADOBE INC.", ("2.02", "9.01"), "2023-03-15 16:06:36", "record", 0.1, 1),
    "html/Oracle.8-K.html": ("Oracle Corp", ("5.07",), None, "stockholders", None, None),
    "html/BuckleInc.8-K.html": ("Buckle Inc", ("2.02", "9.01"), None, "Buckle", None, None),
    "html/BuckleInc.8-K.EX99.1.html": ("Buckle Inc (exhibit 99.1)", (), None, "net income", -1, 0.2),
    "html/1800Flowers.8-K.html": ("1-800-Flowers.com", ("5.07",), None, "Annual Meeting", None, None),
    "html/0000887919-21-000012.html": ("", ("8.01", "9.01"), None, "", None, None),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_when_it_is_a_real_filing_then_items_acceptance_text_and_tone_are_its_own(shared_data, name, capsys):
    folder = shared_data / "sec_8k"
    (row,) = [
        row for row in csv.DictReader((folder / "index.csv").read_text(encoding="utf-8").splitlines()) if row["file"] == name
    ]
    company, items, accepted, words, least, most = DOCUMENTS[name]
    if name.endswith(".gz"):
        filing = parse_submission(gzip.decompress((folder / name).read_bytes()).decode("utf-8", errors="replace"))
        assert (filing.accession, filing.cik) == (row["accession"], int(row["cik"]))
        assert filing.known_ns == acceptance_ns(row["accepted_et"])
        assert filing.known_ns == to_ns(datetime.fromisoformat(accepted).replace(tzinfo=NEW_YORK))
    else:
        content = (folder / name).read_text(encoding="utf-8", errors="replace")
        filing = parse_document(content, accession=row["accession"], company=row["company"])
        assert filing.known_ns is None  # a document alone does not say when it was accepted
    assert (filing.company, filing.items) == (company, items)
    assert words in filing.text
    assert 1_000 < len(filing.text) < 40_000
    assert "begin 644" not in filing.text
    assert "<" not in filing.text.replace("<PAGE>", "")
    tone = tone_of(without_cover(filing.text))
    if least is not None:
        assert least <= tone.value <= most
    with capsys.disabled():
        value = "none" if math.isnan(tone.value) else f"{tone.value:+.2f}"
        sys.stdout.write(
            f"\n{name}: {company}, items {items}, accepted {accepted} New York, {len(filing.text):,} characters, tone {value}"
        )


@pytest.mark.parametrize(
    ("stamp", "utc"),
    [
        ("20260306161125", "2026-03-06T21:11:25+00:00"),  # winter: five hours
        ("20260309161125", "2026-03-09T20:11:25+00:00"),  # the Monday after the clocks went forward: four
        ("20251102013000", "2025-11-02T05:30:00+00:00"),  # the first of the two half past ones
    ],
)
def test_acceptance_when_read_then_it_is_new_yorks_clock(stamp, utc):
    assert acceptance_ns(stamp) == to_ns(datetime.fromisoformat(utc))


def test_submission_when_parsed_then_form_and_exhibits_are_text_and_nothing_else_is():
    text = submission(
        "0001-26-1", "20260306161125", "Results improved &amp; grew", ("Results of Operations and Financial Condition",)
    )
    filing = parse_submission(text)
    assert filing.items == ("2.02",)
    assert filing.company == "ACME & CO"
    assert "Results improved & grew" in filing.text
    assert "Exhibit: Results" in filing.text
    for unseen in ("fraud", "bankruptcy", "gain", "strong"):
        assert unseen not in filing.text


def test_submission_when_it_has_no_acceptance_time_then_refused():
    with pytest.raises(DataError, match="no acceptance time"):
        parse_submission("<SEC-DOCUMENT>x\n<DOCUMENT></DOCUMENT>")


def test_items_when_titles_changed_over_the_years_then_still_found():
    titles = [
        "Departure of Directors or Principal Officers; Election of Directors; Appointment of Principal Officers",
        "Regulation FD Disclosure",
        "Amendments to the Registrant's Code of Ethics, or Waiver of a Provision of the Code of Ethics",
        "Something nobody knows",
    ]
    assert item_numbers(titles) == ("5.02", "7.01", "5.05")


def test_items_when_the_text_names_them_then_each_once_in_order():
    assert items_in_text("ITEM 9.01 and Item 2.02, see item 9.01; Item 3.14 is none") == ("2.02", "9.01")


def test_plain_text_when_html_then_words_as_read():
    assert plain_text("<p>One&nbsp;two</p><div style='x'>three<br/>four</div><script>no()</script>") == "One two three four"
    assert plain_text("  just \n words ") == "just words"


def test_tone_when_nothing_has_a_tone_then_unknown():
    assert math.isnan(tone_of("The annual meeting was held on Monday.").value)


@pytest.mark.parametrize(
    "piece", ["<", "<a ", "<!--", "</", "<a b='", '<a b="', "<!", "<script>", "</script", "<![", "<?", "&#", "<p>"]
)
def test_plain_text_when_a_document_is_broken_on_purpose_then_time_grows_with_its_length_alone(piece):
    def seconds(count):
        start = time.process_time()
        plain_text("words " + piece * count)
        return time.process_time() - start

    seconds(1_000)
    assert seconds(160_000) < 30  # squares of this took minutes for a tenth of it
    assert plain_text("words " + piece).startswith("words")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("a < b and c > d", "a < b and c > d"),
        ("<p title='x > y'>one</p><p class=z>two", "one two"),
        ("<p style=\"a'b\">one</p><p style='unclosed>two</p>", "one two"),
        ("one<!-- <b>hidden</b> -->two<!-- no end", "onetwo"),
        ("<!DOCTYPE html><?xml version='1.0'?><SCRIPT>if (a<b) no()</SCRIPT >seen", "seen"),
        ("<title/>seen<title>unseen</title> too", "seen too"),
        ("<p>AT&amp;T &lt;b&gt; &#8217;", "AT&T <b> \u2019"),
    ],
)
def test_plain_text_when_markup_is_odd_then_what_a_reader_sees(document, words):
    assert plain_text(document) == words


@pytest.mark.parametrize(
    "head",
    [
        "<ACCEPTANCE-DATETIME>20269901000000\n",
        "<ACCEPTANCE-DATETIME>20260101000000\nCENTRAL INDEX KEY:\tabc\n",
        "<ACCEPTANCE-DATETIME>20260101000000\nCONFORMED SUBMISSION TYPE:\t8-K\n<DOCUMENT>\n<TYPE>8-K\n<TEXT><p>&#"
        + "1" * 5_000
        + "</TEXT>\n</DOCUMENT>",
    ],
)
def test_submission_when_a_number_cannot_be_then_left_out_with_the_reason(head):
    with pytest.raises(DataError, match="could not be read"):
        parse_submission(head)


def test_submission_when_its_documents_never_end_then_read_in_time_all_the_same():
    start = time.process_time()
    parse_submission("<ACCEPTANCE-DATETIME>20260101000000\nA: x" + " " * 200_000 + "y\n" + "<DOCUMENT><TEXT>" * 200_000)
    assert time.process_time() - start < 30
