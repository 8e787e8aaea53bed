"""Rules of the house that a reader would otherwise have to remember: words, versions, documents, addresses."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from sovereign import __version__

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "src" / "sovereign"

BRITISH = re.compile(
    r"colour|behaviour|favour|honour|labour|neighbour|centre|cancelled|cancelling|labelled|labelling|modelling|travelled"
    r"|analyse|catalogue|dialogue|grey|licence|organis|optimis(?!ti)|maximis|minimis|normalis|realis(?!tic|m)|initialis|recognis"
    r"|summaris|standardis|serialis|synchronis|categoris|randomis|utilis|visualis"
)
FORBIDDEN_WORDS = {"utils", "util", "manager", "helper", "helpers", "misc", "pct", "percent", "v2"}


def words_of(name):
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+\d*|\d+", name)]


def public_names():
    """Yield (place, name) of every module, class, function, argument, field and constant without a leading underscore."""
    for file in sorted(SOURCE.rglob("*.py")):
        place = str(file.relative_to(SOURCE))
        yield place, file.stem
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{place}:{node.lineno}", node.name
            elif isinstance(node, ast.arg):
                yield f"{place}:{node.lineno}", node.arg
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield f"{place}:{node.lineno}", node.id


NAMES = [(place, name) for place, name in public_names() if not name.startswith("_")]


def test_names_when_read_then_american_spelling():
    assert [f"{place} {name}" for place, name in NAMES if BRITISH.search(name.lower())] == []


def test_names_when_read_then_without_empty_words():
    assert [f"{place} {name}" for place, name in NAMES if FORBIDDEN_WORDS & set(words_of(name))] == []


def test_glossary_when_read_then_spelling_holds_and_words_are_sorted():
    text = (REPOSITORY / "docs" / "reference" / "glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| `?([^|`]+?)`? \|", text, re.MULTILINE)[1:]
    words = [word for word in words if not set(word) <= {"-", " "}]
    assert words == sorted(words, key=str.lower)
    assert len(words) > 30


def test_changelog_when_read_then_first_entry_is_the_version():
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\d+\.\d+\.\d+) - (?:Unreleased|\d{4}-\d{2}-\d{2})$", text, re.MULTILINE)
    assert versions[0] == __version__
    assert versions == sorted(versions, key=lambda version: [int(part) for part in version.split(".")], reverse=True)


def documents():
    yield from sorted(REPOSITORY.glob("*.md"))
    yield from sorted((REPOSITORY / "docs").rglob("*.md"))


@pytest.mark.parametrize("page", [str(page.relative_to(REPOSITORY)) for page in documents()])
def test_page_when_it_links_inside_the_repository_then_the_target_exists(page):
    file = REPOSITORY / page
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", file.read_text(encoding="utf-8"))
    assert [target for target in targets if not (file.parent / target).exists()] == []


def test_index_when_read_then_reaches_every_page_of_docs():
    docs = REPOSITORY / "docs"
    index = (docs / "README.md").read_text(encoding="utf-8")
    pages = [str(page.relative_to(docs)) for page in docs.rglob("*.md") if page != docs / "README.md"]
    assert [page for page in pages if f"]({page})" not in index] == []


@pytest.mark.parametrize("target", ["demo", "test", "install", "check", "bench"])
def test_makefile_when_read_then_has_the_target(target):
    assert re.search(rf"^{target}:", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_constraints_when_read_then_pin_every_direct_dependency_and_name_no_address():
    text = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8")
    assert "://" not in text
    pinned = {match.lower().replace("_", "-") for match in re.findall(r"^([\w-]+)==", text, re.MULTILINE)}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    names = {re.split(r"[<>=\[]", line)[0].lower().replace("_", "-") for line in asked} - {"sovereign"}
    assert names - pinned == set()


def test_tracked_files_when_read_then_name_no_machine_path_and_no_registry():
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("the checkout is not a git repository")
    forbidden = re.compile("|".join(("/" + "root/", "/" + "work/", "/" + "home/", "extra-" + "index", "index-" + "url")))
    found = []
    for name in listed.stdout.splitlines():
        file = REPOSITORY / name
        if file.suffix in {".py", ".md", ".toml", ".txt", ".yaml", ".json", ".sh", ""} and file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace")
            found.extend(f"{name}: {match.group()}" for match in forbidden.finditer(text))
    assert found == []


def test_command_page_when_read_then_names_every_command():
    from sovereign.app.cli.main import COMMANDS

    page = (REPOSITORY / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert [words for words in COMMANDS if f"`sovereign {words}" not in page] == []


def test_configuration_page_when_read_then_names_every_section():
    from sovereign.app.configuration import Settings

    page = (REPOSITORY / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    assert [name for name in Settings.model_fields if f"| `{name}` |" not in page] == []
