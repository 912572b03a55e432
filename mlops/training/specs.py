"""Read a specification: its own keys and those of the model family that it names, with all errors in one message.

A specification goes by its file, or by its name, `model/candidate`: it is then `specs/model/candidate.toml` below the
current folder, or the one of that name that comes with Forecastle.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from mlops.exceptions import SpecError
from mlops.printable import cut
from mlops.spec import NAME, Section, Spec
from mlops.training.families import family, family_names

_LARGEST_FILE = 1 << 20
"""Bytes; a specification that is shipped has two thousand."""

_ERRORS_SHOWN = 10

_NAME = re.compile(f"{NAME}/{NAME}")


def find_spec(name: str) -> Spec:
    """Return the specification that `name` names: `stocks_d1/gbm`, or the path of a file.

    Raises SpecError as `load_spec` does, and where a file below `specs` is not what its name says.
    """
    if not _NAME.fullmatch(name) or Path(name).is_file():
        return load_spec(Path(name))
    own = Path("specs") / f"{name}.toml"
    if own.is_file():
        spec = load_spec(own)
    else:
        shipped = files("specs").joinpath(f"{name}.toml")
        if not shipped.is_file():
            there_are = ", ".join(sorted(set(_names_below(Path("specs"))) | set(shipped_specs())))
            raise SpecError(f"There is no specification {name}, and no file of that name; there is {there_are}.")
        with as_file(shipped) as file:
            spec = load_spec(file)
    if spec.name != name:
        raise SpecError(f"specs/{name}.toml declares {spec.name}. Rename the file, or correct model and candidate.")
    return spec


def shipped_specs() -> list[str]:
    """Return the names of the specifications that come with Forecastle, sorted."""
    with as_file(files("specs")) as folder:
        return sorted(_names_below(folder))


def _names_below(folder: Path) -> Iterator[str]:
    for file in folder.glob("*/*.toml"):
        yield f"{file.parent.name}/{file.stem}"


def load_spec(path: Path) -> Spec:
    """Read the specification at `path`.

    Raises SpecError that names the file and, for each error, the key, what was given and what is allowed.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise SpecError(
                f"{path} has more than a MiB, so it is no specification. `specs/stocks_d1/gbm.toml` is one."
            )
        document = tomllib.loads(content.decode("utf-8"))
    except FileNotFoundError as error:
        raise SpecError(
            f"There is no specification at {path}. `specs/stocks_d1/gbm.toml` is one to start from."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} cannot be read: {error}.") from error
    except RecursionError as error:
        raise SpecError(f"{path} nests its values too deep to be read. A specification has one level.") from error
    except ValueError as error:  # not TOML, or a number with thousands of digits
        raise SpecError(f"{path} is not TOML: {cut(str(error), 200)}.") from error
    return parse_spec(document, str(path))


def parse_spec(document: Mapping[str, Any], origin: str = "the specification") -> Spec:
    """Return the specification that `document` is, as TOML or JSON have it.

    Raises SpecError that names `origin` and, for each error, the key, what was given and what is allowed.
    """
    try:
        return _type_for(document.get("family")).model_validate(document)
    except ValidationError as error:
        errors = [_described(each, document) for each in error.errors(include_url=False)]
        more = len(errors) - _ERRORS_SHOWN
        shown = errors[:_ERRORS_SHOWN] + ([f"and {more} more"] if more > 0 else [])
        raise SpecError("\n".join(f"{origin}: {each}." for each in shown)) from error


def spec_type(name: str) -> type[Spec]:
    """Return the type of a specification of the family `name`. Raises TrainingError where there is no such family."""
    own = family(name).hyperparameters
    return _with_hyperparameters(own, own())


@cache
def _with_hyperparameters(own: Any, default: Any) -> type[Spec]:  # noqa: ANN401 - pydantic takes any type
    names: Any = Literal[family_names()]
    described = Field(description=Spec.model_fields["family"].description)
    return create_model("Spec", __base__=Spec, family=(names, described), hyperparameters=(own, default))


def _type_for(name: object) -> type[Spec]:
    """Return the type to validate a document with; of a family that does not exist, only the name is an error."""
    return spec_type(name) if isinstance(name, str) and name in family_names() else _with_hyperparameters(Any, None)


def _described(error: Any, document: Mapping[str, Any]) -> str:  # noqa: ANN401 - pydantic's own type is not exported
    """Return one error of pydantic's as a sentence: the key, what was given, what is allowed."""
    key = cut(".".join(str(step) for step in error["loc"]) or "the whole", 100)
    if error["type"] == "missing":
        meant = _field(error["loc"])
        return f"{key}: it is missing" + (f". {meant.description.rstrip('.')}" if meant and meant.description else "")
    if error["type"] == "extra_forbidden":
        return f"{key}: there is no such key here; there is {', '.join(_keys(error['loc'][:-1], document))}"
    allowed = str(error["msg"]).removeprefix("Value error, ").replace("Input should", "it should", 1)
    if isinstance(error["input"], Mapping | Section):  # an error of several keys together
        return f"{key}: {allowed}"
    return f"{key}: {_shown(error['input'])} was given; {allowed}"


def _shown(value: object) -> str:
    try:
        return cut(repr(value), 60)
    except ValueError:  # an integer with more digits than Python prints
        return "a number of thousands of digits"


def _field(location: Sequence[int | str]) -> FieldInfo | None:
    return Spec.model_fields.get(str(location[0])) if len(location) == 1 else None


def _keys(location: Sequence[int | str], document: Mapping[str, Any]) -> list[str]:
    """Return the keys of the table at `location`, or of the whole."""
    table: Any = _type_for(document.get("family"))
    for step in location:
        table = table.model_fields[step].annotation
    return list(table.model_fields)


def first_spec(
    name: str,
    *,
    family_name: str,
    timeframe: str,
    horizons: tuple[int, ...],
    feature_set: str,
    asset_class: str | None,
) -> str:
    """Return the text of a specification to start from, TOML: every hyperparameter of the family at its default.

    Args:
        name: `model/candidate`.
        family_name: how it learns.
        timeframe: the bars that it looks at and forecasts.
        horizons: how many bars ahead it forecasts, ascending.
        feature_set: the features that it reads.
        asset_class: of the symbols that it is for; None: all symbols.

    Raises:
        SpecError: one of them is not allowed, named as it would be in the file.
    """
    if not _NAME.fullmatch(name):
        raise SpecError(f"{name!r} names no candidate. Use MODEL/CANDIDATE, such as stocks_d1/mine: small letters.")
    model, _, candidate = name.partition("/")
    universe = {"asset_class": asset_class} if asset_class else {}
    document: dict[str, Any] = {
        "model": model, "candidate": candidate, "family": family_name, "timeframe": timeframe,
        "feature_set": feature_set, "horizons": list(horizons), "seed": 1, "universe": universe,
    }  # fmt: skip
    spec = parse_spec(document, f"specs/{name}.toml")
    top = [f"{key} = {json.dumps(value)}" for key, value in document.items() if key != "universe"]
    symbols = [f"{key} = {json.dumps(value)}" for key, value in universe.items()] or ["# All symbols."]
    learning = [
        line
        for key, field in type(spec.hyperparameters).model_fields.items()
        for line in (f"# {field.description}", f"{key} = {json.dumps(getattr(spec.hyperparameters, key))}")
    ]
    blocks = [
        ["# All keys, with what they mean: docs/reference/specification.md.", *top],
        ["# Which symbols it is for.", "[universe]", *symbols],
        ["[hyperparameters]", *learning],
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"
