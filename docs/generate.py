"""Write docs/reference/ from what it describes: commands, settings, specifications, views, checks.

Run `python docs/generate.py` after a change; a test fails while the pages do not say what the code does.
"""

from __future__ import annotations

import inspect
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import typer.main
import yaml
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from mlops.cli.commands import app
from mlops.settings import Settings
from mlops.spec import Section, Spec
from mlops.training import family, family_names
from mlops.training.specs import spec_type

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
        for name in command.list_commands(None):
            parts.extend(_command(command.get_command(None, name), f"{path} {name}"))
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
            default = "`forecastle` in `$XDG_DATA_HOME` or `~/.local/share`; for root `/var/lib/forecastle`"
        else:
            default = f"`{field.default}`" if field.default else "none"
        parts.append(f"| `FORECASTLE_{name.upper()}` | {_cell(field.description)} | {default} |")
    parts.append(
        "\nEarlier versions kept the embedded TimescaleDB in the cache folder (`~/.cache/forecastle`, for root "
        "`/var/cache/forecastle`), which people and programs empty. Unless `FORECASTLE_HOME` is set, the first command "
        "that needs the server moves it from there to the data folder; its passwords stay, and its port where that is "
        "free. A server that runs is stopped for that, and not while anybody is connected: then the command says who "
        "is. Killed in the middle, the next command goes on. To another disk it is copied, compared, and then deleted. "
        "Where both folders have a server, that in the data folder is used, and `forecastle db status` names the "
        "other. A link at the old place becomes one at the new place, and nothing is moved. Data that has a tablespace "
        "within the folder is not moved, either. To leave the server where it is, set `FORECASTLE_HOME` to "
        "its folder."
    )
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
            f"| `{each['name']}` | {each['data_type']} | {_cell(_described(each['description']))} |"
            for each in model["columns"]
        )
        parts.append("")
    return "\n".join(parts)


@cache
def _blocks() -> dict[str, str]:
    """Return the doc blocks of the dbt project by name."""
    found = {}
    for file in sorted((ROOT / "dbt_project" / "models").rglob("*.md")):
        blocks = re.findall(r"{% docs (\w+) %}(.*?){% enddocs %}", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        found.update({name: text.strip() for name, text in blocks})
    return found


def _described(description: str) -> str:
    """Return a description, that of a doc block where it names one."""
    return re.sub(r"{{ doc\('(\w+)'\) }}", lambda named: _blocks()[named[1]], description)


def checks() -> str:
    """Return the page of the checks."""
    parts = ["# Checks\n", NOTE, "What decides whether data may be used, suite by suite, in the order of the data.\n"]
    for file in sorted((ROOT / "expectations").glob("*.yaml")):
        suite = yaml.safe_load(file.read_text(encoding="utf-8"))
        parts.append(f"## `{suite['suite']}`\n")
        parts.append("| expectation | relation | why |\n|---|---|---|")
        parts.extend(
            f"| {_expectation(each)} | {_relation(suite, each)} | {_cell(each['why'])} |"
            for each in suite["expectations"]
        )
        parts.append("")
    return "\n".join(parts)


def _expectation(each: dict[str, Any]) -> str:
    if each.get("each") == "feature":
        return f"`FEATURE_{each['name']}`, for each feature"
    only = each.get("feature_set") or each.get("label_set")
    return f"`{each['name']}`" + (f", of `{only}` only" if only else "")


def _relation(suite: dict[str, Any], each: dict[str, Any]) -> str:
    relation = suite["batches"][each["batch"]]["relation"]
    sets = {":feature_relation": "each feature set that is read", ":label_relation": "each label set that is read"}
    return sets.get(relation, f"`{relation}`")


def specification() -> str:
    """Return the page of what a specification may say."""
    parts = ["# Specification\n", NOTE]
    parts.append(
        "One TOML file a candidate, `specs/MODEL/CANDIDATE.toml`, such as `specs/stocks_d1/gbm.toml`; `forecastle "
        "train stocks_d1/gbm` trains it. A key that is not listed here, a value of another type or out of its bounds "
        "is refused when the file is read, all at once.\n"
    )
    sections = {name: field for name, field in Spec.model_fields.items() if name != "hyperparameters"}
    tables = {name: field.annotation for name, field in sections.items() if _is_section(field.annotation)}
    parts.append("## At the top\n")
    parts.extend(_keys(spec_type(family_names()[0]), [name for name in sections if name not in tables]))
    for name, table in tables.items():
        parts.append(f"## `[{name}]`\n\n{inspect.cleandoc(table.__doc__ or '')}\n")
        parts.extend(_keys(table, list(table.model_fields)))
    for name in family_names():
        own = family(name).hyperparameters
        about = inspect.cleandoc(inspect.getmodule(own).__doc__ or "")
        parts.append(f"## `[hyperparameters]` of `{name}`\n\n{about}\n")
        parts.extend(_keys(own, list(own.model_fields)))
    return "\n".join(parts)


def _is_section(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _keys(table: type[Section], names: list[str]) -> list[str]:
    schema = table.model_json_schema()["properties"]
    lines = ["| key | type | allowed | default | meaning |", "|---|---|---|---|---|"]
    for name in names:
        entry = schema[name]
        entry |= next((option for option in entry.get("anyOf", ()) if option.get("type") != "null"), {})
        default = f"`{json.dumps(entry['default'])}`" if "default" in entry else "must be given"
        kind = entry.get("type", "string")
        lines.append(f"| `{name}` | {kind} | {_allowed(name, entry)} | {default} | {_cell(entry.get('description'))} |")
    return [*lines, ""]


def _allowed(name: str, entry: dict[str, Any]) -> str:
    if name == "horizons":
        return "numbers of bars, from 1, ascending"
    if "enum" in entry or "const" in entry:
        return ", ".join(f"`{each}`" for each in entry.get("enum", [entry.get("const")]))
    if "pattern" in entry:
        return f"`{entry['pattern']}`, at most {entry['maxLength']} characters"
    bounds = {"minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}", "exclusiveMaximum": "below {}"}
    return " ".join(text.format(f"{entry[bound]:,}") for bound, text in bounds.items() if bound in entry)


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


PAGES = {
    "commands": commands,
    "settings": settings,
    "specification": specification,
    "views": views,
    "checks": checks,
}

if __name__ == "__main__":
    for page, write in PAGES.items():
        (DOCS / "reference" / f"{page}.md").write_text(write(), encoding="utf-8")
