"""Write docs/reference/ from what it describes: commands, settings, views, checks.

Run `python docs/generate.py` after a change; a test fails while the pages do not say what the code does.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import typer.main
import yaml
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from mlops.cli.commands import app
from mlops.settings import Settings

DOCS = Path(__file__).parent
ROOT = DOCS.parent
NOTE = "<!-- Written by docs/generate.py. Change what it describes, not this page. -->\n"


def commands() -> str:
    """Return the page of all commands."""
    parts = ["# Commands\n", NOTE]
    root = typer.main.get_command(app)
    parts.append(
        "Each command ends with status 0, or with 1 and one or two lines that say what is wrong and what to do, or "
        "with 2 for wrong usage, or with 130 after Ctrl-C. `--debug`, anywhere, shows the traceback.\n"
    )
    parts.extend(_command(root, "forecastle"))
    return "\n".join(parts)


def _command(command: TyperGroup | TyperCommand, path: str) -> list[str]:
    parts = []
    if isinstance(command, TyperGroup):
        for name in command.commands:
            parts.extend(_command(command.commands[name], f"{path} {name}"))
        return parts
    arguments = [p for p in command.params if isinstance(p, TyperArgument)]
    options = [p for p in command.params if isinstance(p, TyperOption) and not p.hidden and p.name != "help"]
    usage = " ".join(
        [path, *(f"[{p.metavar or p.name}]" if not p.required else p.metavar or p.name.upper() for p in arguments)]
    )
    parts.append(f"## `{usage}`\n")
    parts.append(inspect.cleandoc(command.help or "") + "\n")
    parts.extend(f"`{each.metavar or each.name.upper()}`: {_cell(each.help)}\n" for each in arguments)
    if options:
        parts.append("| option | meaning | default |\n|---|---|---|")
        for option in options:
            names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
            plain = (
                option.default is None or isinstance(option.default, bool | list | tuple) or callable(option.default)
            )
            parts.append(f"| {names} | {_cell(option.help)} | {'' if plain else f'`{option.default}`'} |")
        parts.append("")
    return parts


def settings() -> str:
    """Return the page of all settings."""
    parts = ["# Settings\n", NOTE]
    parts.append(
        "Environment variables; a command's own option goes before them. One that is empty or blank counts as not set. "
        "A relative path starts at the folder in which the command is run, and `~` is the home folder.\n"
    )
    parts.append("| variable | meaning | default |\n|---|---|---|")
    for name, field in Settings.model_fields.items():
        if name == "home":
            default = "`~/.cache/forecastle`; for root `/var/cache/forecastle`"
        else:
            default = f"`{field.default}`" if field.default else "none"
        parts.append(f"| `FORECASTLE_{name.upper()}` | {_cell(field.description)} | {default} |")
    return "\n".join(parts) + "\n"


def views() -> str:
    """Return the page of the analyst's views."""
    parts = ["# The analyst's views\n", NOTE]
    parts.append(
        "All in schema `analytics`, with which the database's search path begins. Timestamps are UTC, returns "
        "fractions (0.01 is 1 %).\n"
    )
    models = []
    for file in sorted((ROOT / "dbt_project" / "models" / "analytics").glob("*.yml")):
        models.extend(yaml.safe_load(file.read_text(encoding="utf-8")).get("models", []))
    for model in sorted(models, key=lambda entry: str(entry["name"])):
        parts.append(f"## `{model['name']}`\n")
        parts.append(" ".join(model["description"].split()) + "\n")
        parts.append("| column | type | meaning |\n|---|---|---|")
        parts.extend(
            f"| `{each['name']}` | {each['data_type']} | {_cell(each['description'])} |" for each in model["columns"]
        )
        parts.append("")
    return "\n".join(parts)


def checks() -> str:
    """Return the page of the checks."""
    parts = ["# Checks\n", NOTE, "What decides whether data may be used, suite by suite, in the order of the data.\n"]
    for file in sorted((ROOT / "expectations").glob("*.yaml")):
        suite = yaml.safe_load(file.read_text(encoding="utf-8"))
        parts.append(f"## `{suite['suite']}`\n")
        parts.append("| expectation | relation | why |\n|---|---|---|")
        parts.extend(
            f"| `{each['name']}` | `{suite['batches'][each['batch']]['relation']}` | {_cell(each['why'])} |"
            for each in suite["expectations"]
        )
        parts.append("")
    return "\n".join(parts)


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


PAGES = {"commands": commands, "settings": settings, "views": views, "checks": checks}

if __name__ == "__main__":
    for page, write in PAGES.items():
        (DOCS / "reference" / f"{page}.md").write_text(write(), encoding="utf-8")
