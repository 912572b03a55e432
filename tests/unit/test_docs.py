"""The documentation says what the code does."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperCommand, TyperGroup, TyperOption

from mlops.cli.commands import app
from mlops.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])

_spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
assert _spec is not None and _spec.loader is not None
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)


@pytest.mark.parametrize("page", generate.PAGES)
def test_a_reference_page_is_what_the_generator_writes(page: str) -> None:
    written = (ROOT / "docs" / "reference" / f"{page}.md").read_text(encoding="utf-8")
    assert written == generate.PAGES[page](), "run: python docs/generate.py"


def leaves(command: TyperGroup | TyperCommand, path: str = "forecastle") -> list[tuple[str, TyperCommand]]:
    if isinstance(command, TyperGroup):
        names = command.list_commands(None)
        return [leaf for name in names for leaf in leaves(command.get_command(None, name), f"{path} {name}")]
    return [(path, command)]


@pytest.mark.parametrize(("path", "command"), leaves(typer.main.get_command(app)))
def test_every_command_and_option_is_described(path: str, command: TyperCommand) -> None:
    assert command.help, path
    for option in command.params:
        if isinstance(option, TyperOption) and option.name != "help":
            assert option.help, f"{path} {option.name}"
    assert path in (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_pages_show_exist(page: Path) -> None:
    known = {path for path, _ in leaves(typer.main.get_command(app))}
    groups = {path.rsplit(" ", 1)[0] for path in known}
    for line in re.findall(r"(?m)^\s*(?:\.venv/bin/)?(forecastle [a-z][^#\n]*)", page.read_text(encoding="utf-8")):
        words = line.split()
        two, three = " ".join(words[:2]), " ".join(words[:3])
        assert two in known or three in known or (two in groups and len(words) == 2), f"{page.name} shows {line!r}"
