"""What the pages and the command line say about themselves is true: links lead somewhere, commands can be parsed."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
import tyro

import qualityfm
from qualityfm.cli.main import VERBS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)]
#: The log keeps commands as they were typed at its time.
LIVING = [page for page in PAGES if page.name != "LOG.md"]
LINK = re.compile(r"\]\(([^)#\s]+)")
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands_of(page: Path) -> list[str]:
    """Return the commands in a page's code, without prompt, comment and what their output goes to."""
    blocks = [block.replace("\\\n", " ") for block in FENCE.findall(page.read_text(encoding="utf-8"))]
    lines = [line for block in blocks for line in block.splitlines()]
    found = [re.match(r"(?:\$ |[^#|]*\| )?(?:QUALITYFM_TOKEN=\S+ )?qualityfm ([^|<>&]+)", line) for line in lines]
    return [match[1] for match in found if match]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if not re.match(r"[a-z]+:", link)]
    assert [link for link in targets if not (page.parent / link).exists()] == []


def test_the_site_leads_to_every_page() -> None:
    listed = {Path("index.md")}
    for page in PAGES[1:]:
        for entries in re.findall(
            r"^```\{toctree\}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        ):
            for entry in (line for line in entries.splitlines() if line and not line.startswith(":")):
                listed |= {found.relative_to(DOCS) for found in page.parent.glob(f"{entry}.md")}
    assert {page.relative_to(DOCS) for page in PAGES[1:]} - listed == set()


def parses(words: list[str]) -> None:
    module = import_module(f"qualityfm.cli.{VERBS[words[0]].module}")
    tyro.cli(module.Options, args=words[1:], config=(tyro.conf.FlagCreatePairsOff,))


@pytest.mark.parametrize("page", [page for page in LIVING if commands_of(page)], ids=name_of)
def test_commands_in_pages_are_commands(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in commands_of(page):
        words = shlex.split(command.split(" #")[0].split("  ")[0])
        try:
            parses(words)
        except SystemExit as stop:
            pytest.fail(f"{page.name}: {command}: {stop.code} {capsys.readouterr()}")


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_shows_commands_that_are_commands(verb: str) -> None:
    examples = " ".join(import_module(f"qualityfm.cli.{VERBS[verb].module}").EXAMPLES)
    found = [words for words in examples.split("qualityfm ") if words.startswith(f"{verb} ") or words.strip() == verb]
    assert found
    for words in found:
        parses(shlex.split(re.split(r" [<>|#]| \w+=\S+ $| torchrun| python", words)[0]))


@pytest.mark.parametrize("name", [name for name in qualityfm.__all__ if not name.startswith("_")])
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert re.search(rf"^   {name}$", (DOCS / "api" / "public.md").read_text(), re.MULTILINE)


def test_every_module_of_the_reference_exists_and_says_what_it_is() -> None:
    names = [n for p in (DOCS / "api").glob("*.md") for n in re.findall(r"automodule:: (\S+)", p.read_text())]
    assert len(names) > 40
    assert [name for name in names if not import_module(name).__doc__] == []
