"""What holds for the command line as a whole."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from mlops.cli.commands import app


def test_the_version_is_printed() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"forecastle {version('forecastle')}\n")


@pytest.mark.parametrize("command", [(), ("forecast",), ("models",), ("models", "list"), ("db", "psql")])
def test_h_is_as_good_as_help(command: tuple[str, ...]) -> None:
    short, long = (CliRunner().invoke(app, [*command, option]) for option in ("-h", "--help"))
    assert short.exit_code == 0
    assert short.output == long.output
    assert "Usage:" in short.output
