"""`forecastle train` and `forecastle models`, as a person runs them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from sqlalchemy import text
from synthetic import spec
from typer.testing import CliRunner, Result

from mlops import cli
from mlops.cli.commands import app
from mlops.scoring import Scorer
from mlops.warehouse import Warehouse

SMALL = """
model = "test_gbm"
candidate = "gbm"
family = "hist_gradient_boosting"
timeframe = "d1"
feature_set = "technical"
horizons = [1, 5]
seed = 7

[hyperparameters]
max_iter = 5
"""


def run(warehouse: Warehouse, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--database-url", warehouse.plain_url], catch_exceptions=False)


def test_train_prints_how_good_the_model_is_and_models_keeps_saying_so(featured: Warehouse, tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    result = run(featured, "train", str(file), "--as-of", "2012-06-30")
    assert result.exit_code == 0
    assert "test_gbm v1 is now in staging. Waits for promotion: its checks held" in result.output
    assert "left out: 20 label_unknown" in result.output
    for name in ("MAE, %", "RMSE, %", "pinball loss, %", "in 80 % band, %", "accuracy, %", "log loss"):
        assert result.output.count(name) == 2
    assert max(len(line) for line in result.output.splitlines() if line.startswith(" ")) <= 80

    again = json.loads(run(featured, "train", str(file), "--as-of", "2012-06-30", "--json").stdout)
    assert (again["model"], again["version"], again["is_new"], again["alias"]) == ("test_gbm", 1, False, None)
    assert set(again["metrics"]["test"]) == {"1", "5"}

    promoted = run(featured, "models", "promote", "test_gbm", "--version", "1", "--reason", "It is all there is.")
    assert promoted.output == "test_gbm v1 is in production.\n"
    listed = run(featured, "models", "list").output
    assert "test_gbm: skill of MAE on the test part, %" in listed
    skills = [f"{100 * again['metrics']['test'][horizon]['mae']['skill']:+.1f}" for horizon in ("1", "5")]
    assert listed.splitlines()[4].split() == ["1", "gbm", "1.0.0", "production", "2012-06-30", *skills]
    assert max(map(len, listed.splitlines())) <= 80
    assert json.loads(run(featured, "models", "list", "--json").stdout)[0]["sha256"] == again["sha256"]

    shown = run(featured, "models", "show").output
    assert again["sha256"] in shown
    assert again["data_fingerprint"] in shown
    assert [line.split(maxsplit=1)[1] for line in shown.splitlines() if line.startswith("labels ")] == [
        "forward, version forward-1"
    ]
    assert "beyond 0.5, 1.1 %" in shown
    data = json.loads(run(featured, "models", "show", "test_gbm", "--version", "1", "--json").stdout)
    assert data["metrics"] == again["metrics"]
    assert data["aliases"] == ["production"]

    target = tmp_path / "model.onnx"
    assert "Wrote test_gbm v1" in run(featured, "models", "export", "-o", str(target)).output
    assert hashlib.sha256(target.read_bytes()).hexdigest() == again["sha256"]
    assert Scorer(target.read_bytes()).horizons == (1, 5)
    assert [each.name for each in tmp_path.iterdir() if each.suffix == ".onnx"] == ["model.onnx"]


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """Run the command as `forecastle` does, and give its exit status and what it said on standard error."""

    def run_main(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["forecastle", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return run_main


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "There is no specification at"),
        ("model = ", "is not TOML"),
        (
            SMALL.replace("hist_gradient_boosting", "crystal_ball"),
            "family: 'crystal_ball' was given; it should be 'hist_gradient_boosting'",
        ),
        (SMALL.replace("[1, 5]", "[5, 1]"), "they should be numbers of bars, ascending"),
        (SMALL.replace('"d1"', '"D7"'), "timeframe: 'D7' was given; String should match pattern"),
        (
            SMALL.replace("max_iter", "max_itre"),
            "hyperparameters.max_itre: there is no such key here; there is max_iter",
        ),
        (SMALL + "\n[split]\ntrain = 0.9\nvalidation = 0.1\n", "should be less than 1, to leave a test part"),
    ],
)
def test_a_spec_that_cannot_be_used_is_refused_in_a_sentence(messages, tmp_path, content, message) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    file = tmp_path / "spec.toml"
    if content is not None:
        file.write_text(content)
    status, said = messages("train", str(file), "--database-url", "postgresql://nobody@127.0.0.1:1/none")
    assert status == 1
    assert message in " ".join(said.split())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SMALL.replace("[1, 5]", "[1, 3]"), "horizons: [1, 3] was given; for d1 they should be an ascending choice of"),
        (SMALL.replace('"d1"', '"d7"'), "timeframe: 'd7' was given; it should be one of m1, m5"),
    ],
)
def test_a_spec_that_asks_what_the_database_does_not_have_is_refused(  # type: ignore[no-untyped-def]
    messages,  # noqa: ANN001
    featured: Warehouse,
    tmp_path: Path,
    content: str,
    message: str,
) -> None:
    file = tmp_path / "spec.toml"
    file.write_text(content)
    status, said = messages("train", str(file), "--database-url", featured.plain_url)
    assert status == 1
    assert message in " ".join(said.split())
    with featured.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM ml.runs")).scalar_one() == 0


def test_a_history_that_is_too_short_is_refused(messages, featured: Warehouse, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    file = tmp_path / "spec.toml"
    file.write_text(SMALL)
    status, said = messages("train", str(file), "--as-of", "2000-06-10", "--database-url", featured.plain_url)
    assert status == 1
    assert "dates with known labels are too few" in " ".join(said.split())
    with featured.begin() as connection:
        assert connection.execute(text("SELECT status FROM ml.runs")).scalar_one() == "failed"


@pytest.mark.parametrize("arguments", [("models", "show"), ("models", "export")])
def test_without_a_model_the_message_says_how_to_train_one(messages, warehouse: Warehouse, arguments) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    status, said = messages(*arguments, "--database-url", warehouse.plain_url)
    assert status == 1
    assert "forecastle train stocks_d1/gbm" in " ".join(said.split())


def test_an_empty_registry_lists_nothing(warehouse: Warehouse) -> None:
    assert "No version is registered" in run(warehouse, "models", "list").output
    assert run(warehouse, "models", "list", "--json").stdout.strip() == "[]"


def test_what_is_promoted_can_be_taken_back(messages, featured: Warehouse, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    from datetime import UTC, datetime

    from jobs.train import train

    for leaves in (4, 5):
        wanted = spec(max_iter=5, max_leaf_nodes=leaves)
        train(featured, wanted, datetime(2012, 6, 30, tzinfo=UTC), check=lambda run_id, as_of: None)
    why = ("--reason", "Better on the test part.")
    assert run(featured, "models", "promote", "test_gbm", "--version", "2", *why).output == (
        "test_gbm v2 is in production in place of v1; `forecastle models rollback test_gbm` takes that back.\n"
    )
    compared = json.loads(run(featured, "models", "compare", "--version", "1", "--version", "2", "--json").stdout)
    assert [(each["horizon"], each["version"]) for each in compared] == [(1, 2), (1, 1), (5, 2), (5, 1)]
    shown = json.loads(run(featured, "models", "show", "test_gbm", "--version", "1", "--json").stdout)
    assert compared[1]["test_mae_skill"] == shown["metrics"]["test"]["1"]["mae"]["skill"]
    table = run(featured, "models", "compare", "test_gbm", "--version", "1", "--version", "2").output
    assert max(map(len, table.splitlines())) <= 80
    assert "production" in table
    url = ("--database-url", featured.plain_url)
    for arguments, said in (
        (("promote", "test_gbm", "--version", "2", *why), "Test_gbm v2 is in production already"),
        (("promote", "test_gbm", "--version", "7", *why), "There is no test_gbm v7"),
        (("promote", "test_gbm", "--version", "1", "--reason", ""), "No reason was given"),
        (("compare", "test_gbm", "--version", "1", "--version", "9"), "There is no test_gbm v9"),
    ):
        status, error = messages("models", *arguments, *url)
        assert (status, said in " ".join(error.split())) == (1, True), error
    assert run(featured, "models", "rollback", "test_gbm").output == "test_gbm v1 is in production again.\n"
    status, error = messages("models", "rollback", "test_gbm", *url)
    assert (status, "No version of test_gbm was in production before v1" in " ".join(error.split())) == (1, True)


def test_export_never_overwrites_by_itself(messages, featured: Warehouse, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    from datetime import UTC, datetime

    from jobs.train import train

    train(featured, spec(max_iter=5), datetime(2012, 6, 30, tzinfo=UTC), check=lambda run_id, as_of: None)
    target = tmp_path / "model.onnx"
    target.write_text("mine")
    status, said = messages("models", "export", "-o", str(target), "--database-url", featured.plain_url)
    assert (status, target.read_text()) == (1, "mine")
    assert "--force" in said
    assert run(featured, "models", "export", "-o", str(target), "--force").exit_code == 0
    assert target.stat().st_size > 1000
    status, said = messages("models", "export", "-o", str(tmp_path / "no" / "x"), "--database-url", featured.plain_url)
    assert "cannot be written: No such file or directory" in " ".join(said.split())
    status, said = messages("models", "show", "--version", "9", "--database-url", featured.plain_url)
    assert "There is no test_gbm v9" in " ".join(said.split())
