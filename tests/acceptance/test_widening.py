"""What is added touches only its own files: each is added in a scratch copy, in which all stages are then run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import bars
import forked
import pandas as pd
import pytest
from sqlalchemy import text

from mlops.domain import Role
from mlops.features import runner
from mlops.settings import load
from mlops.warehouse import Warehouse

ROOT = Path(__file__).parents[2]
PAGE = "\n".join(
    (ROOT / "docs/how-to" / page).read_text(encoding="utf-8")
    for page in ("add-features.md", "add-timeframes-and-labels.md", "add-commands-jobs-and-sources.md")
)
PACKAGES = ("mlops", "jobs", "migrations", "expectations", "dbt_project", "specs")
DAYS = "2012-12-03", "2013-01-31", "2013-02-28"
"""When it is trained, when it is asked, and when all that it forecast has come."""


def block(file: str) -> str:
    """Return the block of the pages that stands below the name of `file`."""
    found = re.search(
        rf"`{re.escape(file)}`(?:, (?:which|in|after)[^\n]*)?:\n\n```\w+\n(.*?)```", PAGE, flags=re.DOTALL
    )
    assert found, file
    return found[1]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A copy of the code, and a folder of its own for what dbt keeps: what it read of the project before the change."""
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "target", "logs")
        )
    runner.views()
    read_before = runner.folder_of(str(ROOT / "dbt_project"), load().home)
    shutil.copytree(read_before, runner.folder_of(str(tmp_path / "dbt_project"), tmp_path / "home"))
    return tmp_path


def forecastle(scratch: Path, warehouse: Warehouse, *commands: tuple[str, ...], **settings: str) -> str:
    """Run commands, one after the other, in one process of the copy, and return what they print.

    The first that fails ends it. `settings` are variables of the environment.
    """
    environment = {
        **os.environ, "FORECASTLE_HOME": str(scratch / "home"),
        "FORECASTLE_DATABASE_URL": warehouse.plain_url, "COLUMNS": "200", **settings,
    }  # fmt: skip
    done = forked.run("mlops.cli:main", [("forecastle", *command) for command in commands], scratch, environment)
    assert done.returncode == 0, f"{done.stdout[-2000:]} {done.stderr[-2000:]}"
    return done.stdout


def changed(scratch: Path) -> set[str]:
    """Return the files of the copy that are new or others than here."""
    files = [file for package in PACKAGES for file in (scratch / package).rglob("*") if file.is_file()]
    return {
        name
        for name, file in ((str(file.relative_to(scratch)), file) for file in files)
        if "__pycache__" not in name and (not (ROOT / name).exists() or (ROOT / name).read_bytes() != file.read_bytes())
    }


def rows(warehouse: Warehouse, query: str) -> list[tuple[object, ...]]:
    with warehouse.begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def run_all_stages(
    scratch: Path, warehouse: Warehouse, spec: str, days: tuple[str, str, str] = DAYS, timeframe: str = "d1"
) -> None:
    """Build, check, train, export, forecast, outcomes, drift."""
    trained, asked, came = days
    forecastle(
        scratch,
        warehouse,
        ("features", "build"),
        ("train", spec, "--as-of", trained),
        ("check", "--as-of", asked, "--timeframe", timeframe),
        ("forecast", "--as-of", asked),
        ("outcomes", "--as-of", came),
        ("drift", "--as-of", came),
    )


def test_a_feature_set_is_a_model_with_its_contract_and_a_specification(featured: Warehouse, scratch: Path) -> None:
    files = ("dbt_project/models/features/month.sql", "dbt_project/models/features/_month__models.yml")
    for file in files:
        (scratch / file).write_text(block(file.removeprefix("dbt_project/")), encoding="utf-8")
    spec = "specs/stocks_d1/month.toml"
    # It is the first version of the model here: in production, so that its drift is measured.
    (scratch / spec).write_text(block(spec).replace('later = "challenger"', 'first = "production"'), encoding="utf-8")
    assert changed(scratch) == {*files, spec}

    run_all_stages(scratch, featured, "stocks_d1/month")

    assert rows(featured, "SELECT feature_set, feature_set_version, features FROM ml.version_inputs") == [
        ("month", "month-1", ["day_of_month", "day_of_week", "day_range"])
    ]
    assert rows(featured, "SELECT count(*) FROM ml.predictions") == [(20,)]
    assert rows(featured, "SELECT count(*) FROM ml.outcomes WHERE horizon = 5") == [(5,)]
    assert rows(
        featured,
        "SELECT feature, n_current > 50 FROM monitoring.feature_drift WHERE feature LIKE 'day%' ORDER BY feature",
    ) == [("day_of_month", True), ("day_of_week", True), ("day_range", True)]
    of_the_set = "relation = 'features.month' AND success"
    assert rows(featured, f"SELECT count(*) > 5 FROM monitoring.check_results WHERE {of_the_set}") == [(True,)]
    proof = "expectation = 'features_equal_a_rebuild_at_the_cutoff' AND query LIKE '%''month''%'"
    assert rows(featured, f"SELECT success FROM monitoring.check_results WHERE {proof}") == [(True,)]


def test_a_feature_that_has_seen_the_future_closes_the_gate(featured: Warehouse, scratch: Path) -> None:
    for name in ("month.sql", "_month__models.yml"):
        file = scratch / "dbt_project/models/features" / name
        written = block(f"models/features/{name}")
        ahead = "lead(bars.close) over (partition by bars.symbol_id, bars.timeframe order by bars.ts) / bars.close"
        file.write_text(
            written.replace("(bars.high - bars.low) / bars.close", f"coalesce({ahead}, 1)"), encoding="utf-8"
        )
    (scratch / "specs/stocks_d1/month.toml").write_text(block("specs/stocks_d1/month.toml"), encoding="utf-8")
    commands = (("features", "build"), ("train", "stocks_d1/month", "--as-of", DAYS[0]))
    with pytest.raises(AssertionError, match="features_equal_a_rebuild_at_the_cutoff"):
        forecastle(scratch, featured, *commands)
    assert rows(featured, "SELECT count(*) FROM ml.versions") == [(0,)]


def test_a_feature_is_an_expression_and_its_column_in_the_contract(featured: Warehouse, scratch: Path) -> None:
    macro = "dbt_project/macros/technical/technical_features.sql"
    contract = "dbt_project/models/features/_features__models.yml"
    for file, before in ((macro, "    close / close_5 - 1 as return_5,\n"), (contract, "      - name: ema_12\n")):
        written = (scratch / file).read_text(encoding="utf-8")
        assert written.count(before) == 1
        added = block(file.removeprefix("dbt_project/"))
        (scratch / file).write_text(written.replace(before, added + before), encoding="utf-8")
    assert changed(scratch) == {macro, contract}

    run_all_stages(scratch, featured, "stocks_d1/gbm")

    [(names,)] = rows(featured, "SELECT features FROM ml.version_inputs")
    assert isinstance(names, list)
    assert names[-1] == "direction_1"
    assert len(names) == 21
    assert rows(featured, "SELECT count(*) FROM ml.predictions") == [(20,)]
    assert rows(featured, "SELECT n_current > 50 FROM monitoring.feature_drift WHERE feature = 'direction_1'") == [
        (True,)
    ]
    checked = "SELECT DISTINCT success FROM monitoring.check_results WHERE expectation = 'direction_1_is_possible'"
    assert rows(featured, checked) == [(True,)]


def test_a_timeframe_is_one_row(warehouse: Warehouse, scratch: Path) -> None:
    """EURUSD in bars of twelve hours, which the project does not know of."""
    statement = re.search(r"```sql\n(INSERT INTO market.timeframes .*?)```", PAGE, flags=re.DOTALL)
    assert statement
    with warehouse.begin(Role.OWNER) as connection:
        connection.execute(text(statement[1]))
    hourly = pd.read_parquet(bars.SHARED_DATA / "fx_hourly.parquet")
    hourly = hourly[hourly.ts.between("2014-01-01", "2017-01-01")].assign(ts=hourly.ts.dt.floor("12h"))
    kinds = {"open": "first", "high": "max", "low": "min", "close": "last"}
    halves = hourly.groupby(["symbol", "ts"]).agg(kinds).reset_index()
    # Currencies have no volume, and the technical set wants one.
    halves.assign(volume=(halves.high - halves.low) * 1e6).to_csv(scratch / "eurusd.csv", index=False)
    terms = ("--exchange", "24/5", "--asset-class", "fx", "--timezone", "UTC")
    kind = ("--timeframe", "h12", "--asset-class", "fx", "--family", "hist_gradient_boosting")
    taken = ("ingest", "bars", "eurusd.csv", "--timeframe", "h12", *terms)
    forecastle(scratch, warehouse, taken, ("init", "fx_h12/mine", *kind))
    spec = scratch / "specs/fx_h12/mine.toml"
    written = spec.read_text(encoding="utf-8")
    assert "\nhorizons = [1, 4]\n" in written
    spec.write_text(f'{written}\n[promotion]\nfirst = "production"\n', encoding="utf-8")
    assert changed(scratch) == {"specs/fx_h12/mine.toml"}

    run_all_stages(scratch, warehouse, "fx_h12/mine", ("2016-06-30", "2016-08-31", "2016-12-15"), "h12")

    assert rows(warehouse, "SELECT label_set, thresholds FROM ml.versions") == [("forward", [0.0015, 0.003])]
    # The newest bar that is known a moment before Wednesday ends is that of its morning.
    ends = "SELECT horizon, to_char(target_ts AT TIME ZONE 'UTC', 'Dy HH24:MI') FROM ml.predictions ORDER BY horizon"
    assert rows(warehouse, ends) == [(1, "Thu 00:00"), (4, "Fri 12:00")]
    assert rows(warehouse, "SELECT count(*) FROM ml.outcomes WHERE known_at > as_of") == [(2,)]
    assert rows(warehouse, "SELECT count(*) > 20 FROM monitoring.feature_drift") == [(True,)]


def test_a_label_set_is_a_model_with_its_contract_and_a_specification(featured: Warehouse, scratch: Path) -> None:
    files = ("dbt_project/models/labels/from_open.sql", "dbt_project/models/labels/_from_open__models.yml")
    spec = "specs/stocks_d1/from_open.toml"
    for file in (*files, spec):
        (scratch / file).write_text(block(file.removeprefix("dbt_project/")), encoding="utf-8")
    assert changed(scratch) == {*files, spec}

    run_all_stages(scratch, featured, "stocks_d1/from_open")

    assert rows(featured, "SELECT label_set, label_set_version FROM ml.versions") == [("from_open", "from_open-1")]
    of_the_set = "relation = 'labels.from_open' AND success"
    assert rows(featured, f"SELECT count(*) FROM monitoring.check_results WHERE {of_the_set}") == [(2 * 6,)]
    by_hand = """
        SELECT
            o.horizon, abs(o.actual - (c.closes[1 + o.horizon] / c.opens[2] - 1)) < 1e-12,
            o.known_at = c.known[1 + o.horizon]
        FROM ml.outcomes AS o
        CROSS JOIN LATERAL (
            SELECT array_agg(close ORDER BY ts) AS closes, array_agg(open ORDER BY ts) AS opens,
                array_agg(known_at ORDER BY ts) AS known
            FROM staging.stg_bars AS b WHERE b.symbol_id = o.symbol_id AND b.ts >= o.ts
        ) AS c
    """
    judged = rows(featured, by_hand)
    assert len(judged) > 10
    assert all(is_right and is_known for _, is_right, is_known in judged)
    assert rows(featured, "SELECT count(*) > 20 FROM monitoring.feature_drift") == [(True,)]


def test_a_label_that_is_known_too_early_closes_the_gate(featured: Warehouse, scratch: Path) -> None:
    """It looks one bar further ahead than it says; over one bar it does not, or its rows would be left out before."""
    for file in ("models/labels/from_open.sql", "models/labels/_from_open__models.yml"):
        (scratch / "dbt_project" / file).write_text(block(file), encoding="utf-8")
    macro = scratch / "dbt_project/macros/labels/labels.sql"
    before = macro.read_text(encoding="utf-8")
    macro.write_text(
        before.replace("known_at[bar + {{ horizon }}]", "known_at[bar + {{ [1, horizon - 1] | max }}]"),
        encoding="utf-8",
    )
    spec = scratch / "specs/stocks_d1/from_open.toml"
    spec.write_text(block("specs/stocks_d1/from_open.toml"), encoding="utf-8")
    commands = (("features", "build", "--full-refresh"), ("train", "stocks_d1/from_open", "--as-of", DAYS[0]))
    with pytest.raises(AssertionError, match="label_is_known_with_the_bar_that_ends_it"):
        forecastle(scratch, featured, *commands)


def test_a_family_is_one_module_and_a_specification(featured: Warehouse, scratch: Path) -> None:
    """Here one that is there already, by another name and with another default."""
    module, spec = "mlops/training/families/naive_band.py", "specs/stocks_d1/naive.toml"
    like = (ROOT / "mlops/training/families/volatility_band.py").read_text(encoding="utf-8")
    (scratch / module).write_text(like.replace('"atr_14"', '"volatility_20"'), encoding="utf-8")
    (scratch / spec).write_text(
        'model = "stocks_d1"\ncandidate = "naive"\nfamily = "naive_band"\ntimeframe = "d1"\nfeature_set = "technical"\n'
        'horizons = [1, 5]\nseed = 1\n[promotion]\nfirst = "production"\n',
        encoding="utf-8",
    )
    assert changed(scratch) == {module, spec}

    run_all_stages(scratch, featured, "stocks_d1/naive")

    assert rows(featured, "SELECT family, hyperparameters ->> 'scale' FROM ml.versions") == [
        ("naive_band", "volatility_20")
    ]
    assert rows(featured, "SELECT count(*) FROM ml.predictions") == [(10,)]
    assert rows(featured, "SELECT count(*) FROM ml.outcomes") == [(10,)]
    assert rows(featured, "SELECT count(*) > 20 FROM monitoring.feature_drift") == [(True,)]


def test_a_command_is_one_module(featured: Warehouse, scratch: Path) -> None:
    module = "mlops/cli/newest.py"
    (scratch / module).write_text(block(module), encoding="utf-8")
    assert changed(scratch) == {module}

    listed = forecastle(scratch, featured, ("--help",))
    assert re.findall(r"^│ (\w+) ", listed, flags=re.MULTILINE)[:4] == ["db", "ingest", "newest", "features"]
    query = "SELECT to_char(max(known_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') FROM market.bars"
    [(newest,)] = rows(featured, query)
    assert forecastle(scratch, featured, ("newest",)) == f"d1: {newest} UTC\n"


def test_a_job_is_one_module_and_its_line(featured: Warehouse, scratch: Path) -> None:
    module, schedule = "jobs/alerts.py", "jobs/schedule.py"
    (scratch / module).write_text(block(module), encoding="utf-8")
    written = (scratch / schedule).read_text(encoding="utf-8")
    after = '        Scheduled("daily", Crontab(settings.daily_at, "daily"), partial(_daily, settings)),\n'
    assert written.count(after) == 1
    added = written.replace(after, after + block(schedule)).replace(
        "\nfrom jobs.", "\nfrom jobs import alerts\nfrom jobs.", 1
    )
    (scratch / schedule).write_text(added, encoding="utf-8")
    assert changed(scratch) == {module, schedule}

    once = ("schedule", "run", "--once", "alerts", "--as-of", "2013-02-28T23:00:00+00:00")
    assert "Alerts as of 2013-02-28 23:00 UTC succeeded" in forecastle(scratch, featured, once)
    query = "SELECT state, error, as_of = '2013-02-28 23:00+00' FROM job_runs WHERE job = 'alerts'"
    assert rows(featured, query.replace("job_runs", "analytics.job_runs")) == [("succeeded", None, True)]
    listed = forecastle(scratch, featured, ("schedule", "list"))
    assert re.search(
        r"^alerts +0 23 \* \* mon-fri +next .* succeeded as of 2013-02-28 23:00 UTC$", listed, re.MULTILINE
    )


def test_a_source_of_bars_is_one_module(warehouse: Warehouse, scratch: Path) -> None:
    """By the command and by the daily job, for symbols that trade every day."""
    module, spec = "mlops/sources/waves.py", "specs/crypto_d1/mine.toml"
    (scratch / module).write_text(block(module), encoding="utf-8")
    history = ("--symbol", "SOL", "--symbol", "ETH", "--from", "2014-01-01", "--to", "2016-08-31")
    kind = ("--asset-class", "crypto", "--family", "volatility_band")
    forecastle(scratch, warehouse, ("ingest", "bars", "--source", "waves", *history), ("init", "crypto_d1/mine", *kind))
    with (scratch / spec).open("a", encoding="utf-8") as file:
        file.write('\n[promotion]\nfirst = "production"\n')
    assert changed(scratch) == {module, spec}
    assert rows(warehouse, "SELECT DISTINCT exchange, asset_class FROM market.symbols") == [("24/7", "crypto")]

    forecastle(
        scratch,
        warehouse,
        ("features", "build"),
        ("train", "crypto_d1/mine", "--as-of", "2016-08-20"),
        ("check", "--as-of", "2016-08-25"),
        ("forecast", "--as-of", "2016-08-25"),
        ("schedule", "run", "--once", "daily", "--as-of", "2016-09-05T22:30:00+00:00"),
        FORECASTLE_FETCH="waves: SOL ETH",
        FORECASTLE_SPEC="crypto_d1/mine",
    )

    # That of 5 September is over at midnight.
    assert rows(warehouse, "SELECT DISTINCT max(known_at)::text FROM market.bars GROUP BY symbol_id") == [
        ("2016-09-05 00:00:00+00",)
    ]
    of_bars = "SELECT DISTINCT source FROM market.ingests ORDER BY source"
    assert rows(warehouse, of_bars)[-1] == ("waves SOL,ETH from 2016-08-22 to 2016-09-05",)
    assert rows(warehouse, "SELECT count(DISTINCT as_of) FROM ml.predictions") == [(2,)]
    assert rows(warehouse, "SELECT count(*) FROM ml.outcomes WHERE horizon = 5") == [(2,)]
    query = "SELECT DISTINCT state FROM monitoring.job_runs WHERE job IN ('daily', 'ingest', 'drift')"
    assert rows(warehouse, query) == [("succeeded",)]


def test_a_kind_of_event_is_a_migration_a_layout_and_a_staging_model(featured: Warehouse, scratch: Path) -> None:
    newest = max(file.name[:4] for file in (scratch / "migrations/versions").glob("0*.py"))
    migration = f"migrations/versions/{int(newest) + 1:04}_dividends.py"
    written = block("migrations/versions/0016_dividends.py")
    next_one = written.replace("0015", newest).replace("0016", f"{int(newest) + 1:04}")
    (scratch / migration).write_text(next_one, encoding="utf-8")
    staging = "models/staging/market/stg_dividends.sql", "models/staging/market/_dividends__models.yml"
    for file in staging:
        (scratch / "dbt_project" / file).write_text(block(file), encoding="utf-8")
    (scratch / "mlops/sources/dividends.py").write_text(block("mlops/sources/dividends.py"), encoding="utf-8")
    assert changed(scratch) == {migration, "mlops/sources/dividends.py", *(f"dbt_project/{file}" for file in staging)}

    header = "Ticker,Ex-Date,Dividend,Announced at\n"
    good = "AAPL,2012-08-09,2.65,2012-07-24T20:30:00+00:00\nIBM,2012-08-08,0.85,\n"
    bad = "MSFT,2012-08-14,0,\nNONE,2012-08-14,1,\n"
    (scratch / "dividends.csv").write_text(header + good + bad, encoding="utf-8")
    (scratch / "corrected.csv").write_text("symbol,date,amount\nIBM,2012-08-08,0.8\n", encoding="utf-8")
    inbox = scratch / "inbox"
    inbox.mkdir()
    (inbox / "dividends_2012-11.csv").write_text(f"{header}AAPL,2012-11-07,2.65,\n", encoding="utf-8")
    listed = forecastle(
        scratch,
        featured,
        ("db", "migrate"),
        ("ingest", "dividends", "dividends.csv"),
        ("ingest", "dividends", "corrected.csv", "--json"),
        ("features", "build"),
        ("ingest", "--help"),
    )
    assert "Take dividends in, of symbols that have bars." in listed
    assert rows(featured, "SELECT kind, n_new, n_changed, n_rejected FROM market.ingests ORDER BY id DESC LIMIT 2") == [
        ("dividends", 0, 1, 0),
        ("dividends", 2, 0, 2),
    ]
    assert rows(featured, "SELECT reason FROM market.rejects WHERE kind = 'dividends' ORDER BY line") == [
        ("the amount is not above 0",),
        ("no such symbol in the warehouse: ingest its bars",),
    ]
    assert rows(featured, "SELECT amount FROM market.superseded_dividends") == [(0.85,)]
    way = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path; from jobs.ingest import from_inbox\n"
    )
    way += "from mlops.warehouse import Warehouse\n"
    way += "from_inbox(Warehouse(sys.argv[1]), datetime(2013, 1, 31, 22, tzinfo=UTC), Path('inbox'))"
    subprocess.run(
        [sys.executable, "-c", way, featured.plain_url],
        cwd=scratch,
        env={**os.environ, "PYTHONPATH": str(scratch)},
        check=True,
    )
    query = """
        SELECT ticker, to_char(ts AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), amount,
            to_char(d.known_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
        FROM staging.stg_dividends AS d JOIN market.symbols AS s ON s.id = d.symbol_id ORDER BY ts
    """
    assert rows(featured, query) == [
        ("IBM", "2012-08-08 04:00", 0.8, "2012-08-08 04:00"),
        ("AAPL", "2012-08-09 04:00", 2.65, "2012-07-24 20:30"),
        ("AAPL", "2012-11-07 05:00", 2.65, "2012-11-07 05:00"),
    ]
