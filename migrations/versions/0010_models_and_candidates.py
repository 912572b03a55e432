"""Models as questions, candidates that answer them, challengers in the shadow, a row for each act of answering.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from alembic import op
from sqlalchemy import Row, text

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

OLD_NAME, MODEL = "gbm_d1", "stocks_d1"
"""The model that was shipped before, and the question that its specification now answers."""

RENAMED = (
    "ml.runs", "ml.versions", "ml.references", "ml.baselines", "ml.alias_moves", "ml.aliases", "ml.predictions",
    "ml.outcomes", "ml.unresolved", "monitoring.drift", "monitoring.feature_drift",
)  # fmt: skip
"""Tables that name a model."""

IMMUTABLE = ("ml.versions", "ml.references", "ml.baselines", "ml.alias_moves")

POINTING_AT_VERSIONS = {
    "references": "version", "baselines": "version", "aliases": "version", "alias_moves": "to_version",
}  # fmt: skip
"""Tables of ml that point at a version, and the column that they do it by."""

CANDIDATES = {"hist_gradient_boosting": "gbm", "random_forest": "forest", "volatility_band": "band"}
"""What the versions of each family that there was are called as candidates; others are called after their family."""

MOVED_COLUMNS = ("sha256", "parity_max_abs_diff", "features", "feature_set_version")
"""Columns of ml.versions that become rows of ml.components and ml.version_inputs."""

NEW_IN_VERSIONS = "candidate, spec_sha256, major, minor, patch, n_symbols"

TOLERANCE = 1e-5


def upgrade() -> None:
    """Make the tables, let what there is move into them, and give the old model its new name."""
    drop_views_of_moved_columns()
    op.execute("""
        DO $$ BEGIN
            EXECUTE format('GRANT CONNECT ON DATABASE %I TO forecastle_approver', current_database());
        END $$
    """)
    op.execute("SET LOCAL ROLE forecastle_owner")
    op.execute("GRANT USAGE ON SCHEMA ml TO forecastle_approver")
    for table in IMMUTABLE:
        op.execute(f"ALTER TABLE {table} DISABLE TRIGGER is_immutable")
    rename_model()
    make_models()
    make_specs()
    extend_versions()
    extend_aliases()
    make_forecast_runs()
    make_universes()
    make_serving()
    for table in IMMUTABLE:
        op.execute(f"ALTER TABLE {table} ENABLE TRIGGER is_immutable")
    op.execute("RESET ROLE")


def drop_views_of_moved_columns() -> None:
    """Drop the registry views that read columns which move; dbt makes them again. Refuse where others read them, too."""
    columns = ", ".join(f"'{column}'" for column in MOVED_COLUMNS)
    op.execute(f"""
        DO $$
        DECLARE
            registry regclass;
            readers CONSTANT text := $q$
                SELECT DISTINCT rule.ev_class::regclass
                FROM pg_depend AS d
                JOIN pg_rewrite AS rule ON rule.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
                WHERE d.refobjid = $1 AND rule.ev_class <> $1
                    AND ($2 IS NULL OR d.refobjsubid IN (
                        SELECT attnum FROM pg_attribute WHERE attrelid = $1 AND attname = ANY ($2)
                    ))
            $q$;
            theirs text;
        BEGIN
            FOR registry IN EXECUTE readers USING 'ml.versions'::regclass, ARRAY[{columns}] LOOP
                IF registry::text NOT LIKE '%model_registry' THEN
                    theirs := registry::text;
                ELSE
                    EXECUTE format('SELECT string_agg(r::text, '', '') FROM (%s) AS readers (r)', readers)
                    INTO theirs USING registry, NULL::text[];
                END IF;
                IF theirs IS NOT NULL THEN
                    RAISE EXCEPTION 'view % reads what moves to other tables. Nothing was changed. Keep its definition, drop it, '
                        'and make it again after the migration', theirs;
                END IF;
                EXECUTE format('DROP VIEW %s', registry);
            END LOOP;
        END $$
    """)  # noqa: S608 - names of our own


def rename_model() -> None:
    """Give the model that was shipped the name of its question, unless somebody has used that name."""
    connection = op.get_bind()
    if connection.execute(text("SELECT count(*) FROM ml.runs WHERE model = :name"), {"name": MODEL}).scalar_one():
        return
    for table, column in POINTING_AT_VERSIONS.items():
        op.execute(f"ALTER TABLE ml.{table} DROP CONSTRAINT {table}_model_{column}_fkey")
    for table in RENAMED:
        connection.execute(
            text(f"UPDATE {table} SET model = :name WHERE model = :old"),  # noqa: S608 - names of our own
            {"name": MODEL, "old": OLD_NAME},
        )
    for table, column in POINTING_AT_VERSIONS.items():
        op.execute(f"ALTER TABLE ml.{table} ADD FOREIGN KEY (model, {column}) REFERENCES ml.versions (model, version)")


def make_models() -> None:
    """Make the table of models; those that there are have not declared whom they are for."""
    op.execute("""
        CREATE TABLE ml.models (
            model      text PRIMARY KEY CHECK (model <> ''),
            timeframe  text NOT NULL,
            situation  text NOT NULL DEFAULT 'normal' CHECK (situation = 'normal'),
            target     text NOT NULL DEFAULT 'forward' CHECK (target <> ''),
            horizons   integer[] NOT NULL CHECK (cardinality(horizons) > 0),
            universe   jsonb CHECK (jsonb_typeof(universe) = 'object'),
            created_at timestamptz NOT NULL DEFAULT clock_timestamp()
        );
        COMMENT ON TABLE ml.models IS
            'One row per model: a question that is asked again and again. Its candidates are ways to answer it.';
        COMMENT ON COLUMN ml.models.situation IS 'normal: asked at the close of every bar.';
        COMMENT ON COLUMN ml.models.target IS 'The label set that says what is forecast.';
        COMMENT ON COLUMN ml.models.horizons IS 'How many bars ahead, ascending.';
        COMMENT ON COLUMN ml.models.universe IS
            'For which symbols, as [universe] of its specifications has it. NULL: from before models declared it; it is asked '
            'of all symbols until a training declares it.';
        GRANT SELECT ON ml.models TO forecastle_worker, forecastle_dbt;

        INSERT INTO ml.models (model, timeframe, horizons, created_at)
        SELECT DISTINCT ON (r.model)
            r.model, coalesce(v.timeframe, r.spec ->> 'timeframe', 'd1'),
            coalesce(
                v.horizons,
                (SELECT array_agg(h::integer) FROM jsonb_array_elements_text(nullif(r.spec -> 'horizons', 'null')) AS h),
                ARRAY[1]
            ),
            min(r.started_at) OVER (PARTITION BY r.model)
        FROM ml.runs AS r
        LEFT JOIN ml.versions AS v ON v.run_id = r.run_id
        ORDER BY r.model, v.version DESC NULLS LAST, r.started_at DESC;

        ALTER TABLE ml.runs ADD FOREIGN KEY (model) REFERENCES ml.models (model);
    """)


def make_specs() -> None:
    """Keep each specification once, under the SHA-256 of its text; runs point at theirs."""
    families = " ".join(f"WHEN '{family}' THEN '{candidate}'" for family, candidate in CANDIDATES.items())
    op.execute(f"""
        CREATE TABLE ml.specs (
            sha256     text PRIMARY KEY,
            model      text NOT NULL REFERENCES ml.models (model),
            candidate  text NOT NULL CHECK (candidate <> ''),
            document   jsonb NOT NULL,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            CHECK (sha256 = encode(sha256(convert_to(document::text, 'UTF8')), 'hex'))
        );
        COMMENT ON TABLE ml.specs IS 'Specifications that were trained, never changed. One row per content.';
        COMMENT ON COLUMN ml.specs.sha256 IS 'Of the document as PostgreSQL writes it (document::text).';
        COMMENT ON COLUMN ml.specs.document IS 'The whole of it, what was left unsaid filled in.';
        GRANT SELECT ON ml.specs TO forecastle_worker, forecastle_dbt;
        GRANT INSERT (sha256, model, candidate, document) ON ml.specs TO forecastle_worker;

        INSERT INTO ml.specs (sha256, model, candidate, document, created_at)
        SELECT encode(sha256(convert_to(spec::text, 'UTF8')), 'hex'), min(model),
            coalesce(
                spec ->> 'candidate', CASE spec ->> 'family' {families} ELSE nullif(spec ->> 'family', '') END, 'only'
            ),
            spec, min(started_at)
        FROM ml.runs
        GROUP BY spec;

        ALTER TABLE ml.runs ADD COLUMN spec_sha256 text REFERENCES ml.specs (sha256);
        UPDATE ml.runs SET spec_sha256 = encode(sha256(convert_to(spec::text, 'UTF8')), 'hex');
        ALTER TABLE ml.runs ALTER COLUMN spec_sha256 SET NOT NULL, DROP COLUMN spec;
        COMMENT ON COLUMN ml.runs.spec_sha256 IS 'The specification that was trained.';

        CREATE TRIGGER is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ml.specs
            FOR EACH STATEMENT EXECUTE FUNCTION ml.refuse_change();
    """)  # noqa: S608 - names of our own


def extend_versions() -> None:
    """Let a version say whose answer it is, what goes in, and of what it consists."""
    op.execute("""
        ALTER TABLE ml.versions
            ADD COLUMN candidate text,
            ADD COLUMN spec_sha256 text REFERENCES ml.specs (sha256),
            ADD COLUMN major integer,
            ADD COLUMN minor integer,
            ADD COLUMN patch integer,
            ADD COLUMN n_symbols integer CHECK (n_symbols > 0);
        UPDATE ml.versions AS v SET spec_sha256 = r.spec_sha256, candidate = s.candidate
        FROM ml.runs AS r JOIN ml.specs AS s ON s.sha256 = r.spec_sha256
        WHERE r.run_id = v.run_id;
    """)
    connection = op.get_bind()
    rows = connection.execute(
        text(
            "SELECT model, version, candidate, family, hyperparameters, features, feature_set_version "
            "FROM ml.versions ORDER BY model, version"
        )
    ).all()
    for row, numbers in zip(rows, labels(rows), strict=True):
        connection.execute(
            text(
                "UPDATE ml.versions SET major = :major, minor = :minor, patch = :patch "
                "WHERE model = :model AND version = :version"
            ),
            {
                "model": row.model,
                "version": row.version,
                **dict(zip(("major", "minor", "patch"), numbers, strict=True)),
            },
        )
    op.execute(f"""
        ALTER TABLE ml.versions
            ALTER COLUMN candidate SET NOT NULL,
            ALTER COLUMN spec_sha256 SET NOT NULL,
            ALTER COLUMN major SET NOT NULL,
            ALTER COLUMN minor SET NOT NULL,
            ALTER COLUMN patch SET NOT NULL,
            ADD COLUMN label text GENERATED ALWAYS AS (major::text || '.' || minor::text || '.' || patch::text) STORED,
            ADD FOREIGN KEY (model) REFERENCES ml.models (model),
            ADD UNIQUE (model, major, minor, patch);
        COMMENT ON COLUMN ml.versions.candidate IS 'Whose answer it is: the candidate that was trained.';
        COMMENT ON COLUMN ml.versions.label IS
            'major.minor.patch: major grows with other inputs, minor with another candidate or other hyperparameters, patch '
            'when the same is trained again.';
        COMMENT ON COLUMN ml.versions.n_symbols IS 'Of how many symbols its rows are; NULL where that was not recorded yet.';

        CREATE TABLE ml.version_inputs (
            model               text NOT NULL,
            version             integer NOT NULL,
            input               text NOT NULL,
            kind                text NOT NULL CHECK (kind IN ('row', 'sequence')),
            steps               integer CHECK (steps > 0),
            feature_set         text NOT NULL,
            feature_set_version text NOT NULL,
            features            text[] NOT NULL CHECK (cardinality(features) > 0),
            PRIMARY KEY (model, version, input),
            FOREIGN KEY (model, version) REFERENCES ml.versions (model, version),
            CHECK ((kind = 'sequence') = (steps IS NOT NULL))
        );
        COMMENT ON TABLE ml.version_inputs IS 'What a version takes. One row per version and input of its model file.';
        COMMENT ON COLUMN ml.version_inputs.kind IS 'row: the features of one bar; sequence: those of several, `steps` of them.';
        COMMENT ON COLUMN ml.version_inputs.features IS 'Names, in the order of the input.';

        CREATE TABLE ml.components (
            model     text NOT NULL,
            version   integer NOT NULL,
            member    text NOT NULL CHECK (member <> ''),
            symbol_id bigint NOT NULL DEFAULT 0,
            format    text NOT NULL CHECK (format IN ('onnx', 'onnx-fp16', 'tflite')),
            sha256    text NOT NULL REFERENCES ml.artifacts (sha256),
            tolerance double precision NOT NULL CHECK (tolerance >= 0),
            parity    double precision NOT NULL,
            PRIMARY KEY (model, version, member, symbol_id, format),
            FOREIGN KEY (model, version) REFERENCES ml.versions (model, version)
        );
        COMMENT ON TABLE ml.components IS
            'The files that a version consists of. One row per version, member, symbol and format; `onnx` is what forecasts.';
        COMMENT ON COLUMN ml.components.member IS 'The candidate itself, or one of those that an ensemble is made of.';
        COMMENT ON COLUMN ml.components.symbol_id IS 'The one symbol that it is for; 0 for all of them together.';
        COMMENT ON COLUMN ml.components.tolerance IS 'By how much it may differ from the model as it was trained.';
        COMMENT ON COLUMN ml.components.parity IS
            'By how much it did at most, of a return as a fraction or of a probability, on the golden set.';

        INSERT INTO ml.version_inputs (model, version, input, kind, feature_set, feature_set_version, features)
        SELECT model, version, 'features', 'row', 'technical', feature_set_version, features FROM ml.versions;
        INSERT INTO ml.components (model, version, member, format, sha256, tolerance, parity)
        SELECT model, version, candidate, 'onnx', sha256, {TOLERANCE}, parity_max_abs_diff FROM ml.versions;

        ALTER TABLE ml.versions
            DROP COLUMN sha256, DROP COLUMN parity_max_abs_diff, DROP COLUMN features, DROP COLUMN feature_set_version;

        CREATE TRIGGER is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ml.version_inputs
            FOR EACH STATEMENT EXECUTE FUNCTION ml.refuse_change();
        CREATE TRIGGER is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ml.components
            FOR EACH STATEMENT EXECUTE FUNCTION ml.refuse_change();

        GRANT SELECT ON ml.version_inputs, ml.components TO forecastle_worker, forecastle_dbt;
        GRANT INSERT ON ml.version_inputs, ml.components TO forecastle_worker;
        GRANT INSERT ({NEW_IN_VERSIONS}) ON ml.versions TO forecastle_worker;
    """)  # noqa: S608 - names of our own


def labels(rows: Sequence[Row[Any]]) -> list[tuple[int, int, int]]:
    """Return major, minor and patch of the versions `rows`, which are in the order of model and version."""
    numbers: list[tuple[int, int, int]] = []
    seen: list[tuple[Any, ...]] = []
    for row in rows:
        mine = [each for each in seen if each[0] == row.model]
        inputs = (row.feature_set_version, tuple(row.features))
        kind = (row.candidate, row.family, json.dumps(row.hyperparameters, sort_keys=True))
        same_inputs = [each for each in mine if each[1] == inputs]
        same_kind = [each for each in same_inputs if each[2] == kind]
        if same_kind:
            newest = max(each[3] for each in same_kind)
            label = (newest[0], newest[1], newest[2] + 1)
        elif same_inputs:
            newest = max(each[3] for each in same_inputs)
            label = (newest[0], newest[1] + 1, 0)
        else:
            label = (max((each[3][0] for each in mine), default=0) + 1, 0, 0)
        numbers.append(label)
        seen.append((row.model, inputs, kind, label))
    return numbers


def extend_aliases() -> None:
    """Let there be challengers, let an alias be taken away, and let only functions move one."""
    op.execute("""
        ALTER TABLE ml.alias_moves
            DROP CONSTRAINT alias_moves_alias_check,
            ADD CONSTRAINT alias_moves_alias_check CHECK (alias IN ('production', 'staging', 'challenger')),
            ALTER COLUMN to_version DROP NOT NULL,
            ADD COLUMN kind text;
        UPDATE ml.alias_moves SET kind =
            CASE WHEN alias = 'production' AND from_version IS NOT NULL THEN 'promotion' ELSE 'registration' END;
        ALTER TABLE ml.alias_moves
            ALTER COLUMN kind SET NOT NULL,
            ADD CONSTRAINT alias_moves_kind_check CHECK (kind IN ('registration', 'promotion', 'rollback')),
            ADD CONSTRAINT alias_moves_taken_away_check
                CHECK (to_version IS NOT NULL OR (from_version IS NOT NULL AND alias <> 'production'));
        COMMENT ON COLUMN ml.alias_moves.to_version IS 'NULL: the alias was taken from the version that had it.';
        COMMENT ON COLUMN ml.alias_moves.kind IS 'registration, promotion or rollback: what it was done by.';

        ALTER TABLE ml.aliases DROP CONSTRAINT aliases_pkey, ADD PRIMARY KEY (model, alias, version);
        ALTER TABLE ml.aliases DROP CONSTRAINT aliases_move_id_key;
        CREATE UNIQUE INDEX aliases_production_key ON ml.aliases (model) WHERE alias = 'production';
        COMMENT ON TABLE ml.aliases IS
            'Where the aliases point now; written by the trigger on ml.alias_moves and by nothing else. One row per model, '
            'alias and version: production has one version, staging and challenger one of each candidate.';

        CREATE OR REPLACE FUNCTION ml.move_alias() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            DELETE FROM ml.aliases WHERE model = NEW.model AND alias = NEW.alias AND version = NEW.from_version;
            IF NEW.to_version IS NOT NULL THEN
                INSERT INTO ml.aliases (model, alias, version, move_id)
                VALUES (NEW.model, NEW.alias, NEW.to_version, NEW.id);
            END IF;
            RETURN NULL;
        END $$;

        CREATE OR REPLACE FUNCTION ml.note_from_version() RETURNS trigger LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF NEW.to_version IS NOT NULL THEN
                NEW.from_version := (
                    SELECT a.version
                    FROM ml.aliases AS a
                    JOIN ml.versions AS had ON had.model = a.model AND had.version = a.version
                    JOIN ml.versions AS gets ON gets.model = a.model AND gets.version = NEW.to_version
                    WHERE a.model = NEW.model AND a.alias = NEW.alias
                        AND (NEW.alias = 'production' OR had.candidate = gets.candidate)
                );
            END IF;
            RETURN NEW;
        END $$;

        REVOKE INSERT ON ml.alias_moves FROM forecastle_worker;
        REVOKE INSERT (model, alias, to_version, reason) ON ml.alias_moves FROM forecastle_worker;
    """)


def make_forecast_runs() -> None:
    """Make a row of each act of answering, and of each answer that was refused."""
    op.execute("""
        CREATE TABLE ml.forecast_runs (
            run_id          uuid PRIMARY KEY,
            model           text NOT NULL,
            version         integer NOT NULL,
            role            text NOT NULL CHECK (role IN ('production', 'challenger')),
            as_of           timestamptz NOT NULL,
            status          text NOT NULL CHECK (status IN ('succeeded', 'refused', 'failed')),
            finished_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
            seconds         double precision NOT NULL CHECK (seconds >= 0),
            scoring_seconds double precision CHECK (scoring_seconds >= 0),
            provider        text,
            packages        jsonb,
            n_symbols       integer,
            n_made          integer,
            n_present       integer,
            n_refused       integer NOT NULL DEFAULT 0,
            error           text,
            FOREIGN KEY (model, version) REFERENCES ml.versions (model, version),
            CHECK ((status = 'succeeded') = (error IS NULL)),
            CHECK ((status = 'succeeded') = (n_made IS NOT NULL))
        );
        CREATE INDEX ON ml.forecast_runs (model, version, as_of);
        COMMENT ON TABLE ml.forecast_runs IS
            'Acts of answering. One row per version that was asked, as-of and attempt, whatever became of it.';
        COMMENT ON COLUMN ml.forecast_runs.role IS 'production, or challenger: in the shadow, to be compared.';
        COMMENT ON COLUMN ml.forecast_runs.status IS
            'succeeded; refused: the gate was closed; failed: the version could not answer.';
        COMMENT ON COLUMN ml.forecast_runs.n_symbols IS 'Symbols that were forecast.';
        COMMENT ON COLUMN ml.forecast_runs.n_made IS 'Forecasts that were new.';
        COMMENT ON COLUMN ml.forecast_runs.n_present IS 'Forecasts that had been made before.';
        COMMENT ON COLUMN ml.forecast_runs.n_refused IS 'Symbols that were not forecast; ml.refusals says why.';
        COMMENT ON COLUMN ml.forecast_runs.seconds IS 'From the first query to the last.';
        COMMENT ON COLUMN ml.forecast_runs.scoring_seconds IS 'Of these, inside ONNX Runtime.';

        CREATE TABLE ml.refusals (
            run_id    uuid NOT NULL REFERENCES ml.forecast_runs (run_id) ON DELETE CASCADE,
            symbol_id bigint NOT NULL,
            horizon   integer NOT NULL,
            reason    text NOT NULL CHECK (reason IN ('history', 'incomplete', 'stale', 'quarantined', 'gate')),
            PRIMARY KEY (run_id, symbol_id, horizon)
        );
        COMMENT ON TABLE ml.refusals IS 'Why there is no forecast. One row per forecast run, symbol and horizon.';
        COMMENT ON COLUMN ml.refusals.reason IS
            'history: too few bars for a feature row; incomplete: the newest row has a NULL; stale: the newest bar is too far '
            'behind; quarantined: the checks found fault with the symbol; gate: with the data as a whole.';

        ALTER TABLE ml.predictions ADD COLUMN run_id uuid REFERENCES ml.forecast_runs (run_id);
        COMMENT ON COLUMN ml.predictions.run_id IS 'The forecast run that made it; NULL for those from before runs had rows.';

        GRANT SELECT ON ml.forecast_runs, ml.refusals TO forecastle_worker, forecastle_dbt;
        GRANT INSERT (
            run_id, model, version, role, as_of, status, seconds, scoring_seconds, provider, packages, n_symbols, n_made,
            n_present, n_refused, error
        ) ON ml.forecast_runs TO forecastle_worker;
        GRANT INSERT ON ml.refusals TO forecastle_worker;
        GRANT INSERT (run_id) ON ml.predictions TO forecastle_worker;
    """)


def make_universes() -> None:
    """Make the lists of symbols, point in time."""
    op.execute("""
        CREATE TABLE market.universes (
            universe    text NOT NULL CHECK (universe <> ''),
            symbol_id   bigint NOT NULL REFERENCES market.symbols (id),
            ts          timestamptz NOT NULL,
            until       timestamptz CHECK (until > ts),
            known_at    timestamptz NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (universe, symbol_id, ts)
        );
        COMMENT ON TABLE market.universes IS
            'Lists of symbols, such as the members of an index, as they were at each moment. One row per list, symbol and stay.';
        COMMENT ON COLUMN market.universes.ts IS 'From when on the symbol was on the list.';
        COMMENT ON COLUMN market.universes.until IS 'From when on it was not any more; NULL while it is.';
        COMMENT ON COLUMN market.universes.known_at IS 'When the market could know that the symbol would be on the list.';
        COMMENT ON COLUMN market.universes.recorded_at IS 'When this database learnt it.';
        GRANT SELECT ON market.universes TO forecastle_worker, forecastle_dbt;
        GRANT INSERT, UPDATE ON market.universes TO forecastle_worker;
    """)


def make_serving() -> None:
    """Say in one place what forecasts."""
    op.execute("""
        CREATE VIEW ml.serving AS
        SELECT
            a.model, a.version, a.alias AS role, v.candidate, v.label, v.family, m.timeframe, m.situation, v.horizons,
            m.universe, m.created_at AS model_created_at, v.run_id, r.as_of AS trained_as_of, s.document AS spec,
            moves.moved_at AS since
        FROM ml.aliases AS a
        JOIN ml.versions AS v ON v.model = a.model AND v.version = a.version
        JOIN ml.models AS m ON m.model = a.model
        JOIN ml.runs AS r ON r.run_id = v.run_id
        JOIN ml.specs AS s ON s.sha256 = v.spec_sha256
        JOIN ml.alias_moves AS moves ON moves.id = a.move_id
        WHERE a.alias IN ('production', 'challenger');
        COMMENT ON VIEW ml.serving IS
            'The versions that forecast, in production or in the shadow. One row per model, role and version.';
        GRANT SELECT ON ml.serving TO forecastle_worker, forecastle_dbt;
    """)


def downgrade() -> None:
    """Bring back the tables of before; forecast runs, refusals, lists and challengers have no place in them."""
    op.execute("""
        DROP VIEW IF EXISTS
            analytics.forecast_runs, analytics.refusals, analytics.symbol_status, analytics.models,
            analytics.calibration, analytics.forecast_accuracy, analytics.forecast_consensus, analytics.ml_forecasts,
            analytics.model_history, analytics.model_predictions, analytics.model_registry;
        DROP FUNCTION IF EXISTS
            ml.declare_model(text, text, integer[], jsonb), ml.place_version(text, integer, text, text),
            ml.promote(text, integer, text), ml.rollback(text, text), market.universe_at(jsonb, text, timestamptz);
        DROP VIEW ml.serving;
        DROP TABLE market.universes;
        ALTER TABLE ml.predictions DROP COLUMN run_id;
        DROP TABLE ml.refusals, ml.forecast_runs;
    """)
    for table in IMMUTABLE:
        op.execute(f"ALTER TABLE {table} DISABLE TRIGGER is_immutable")
    op.execute("""
        DELETE FROM ml.aliases WHERE alias = 'challenger';
        DELETE FROM ml.aliases AS a USING ml.aliases AS newer
        WHERE a.model = newer.model AND a.alias = newer.alias AND a.version < newer.version;
        DELETE FROM ml.alias_moves WHERE alias = 'challenger' OR to_version IS NULL;
        DROP INDEX ml.aliases_production_key;
        ALTER TABLE ml.aliases DROP CONSTRAINT aliases_pkey, ADD PRIMARY KEY (model, alias), ADD UNIQUE (move_id);
        COMMENT ON TABLE ml.aliases IS
            'Where an alias points now; written by the trigger on ml.alias_moves and by nothing else. '
            'One row per model and alias.';
        ALTER TABLE ml.alias_moves
            DROP CONSTRAINT alias_moves_taken_away_check,
            DROP COLUMN kind,
            DROP CONSTRAINT alias_moves_alias_check,
            ADD CONSTRAINT alias_moves_alias_check CHECK (alias IN ('production', 'staging')),
            ALTER COLUMN to_version SET NOT NULL;
        COMMENT ON COLUMN ml.alias_moves.to_version IS NULL;
        GRANT INSERT (model, alias, to_version, reason) ON ml.alias_moves TO forecastle_worker;

        CREATE OR REPLACE FUNCTION ml.move_alias() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            INSERT INTO ml.aliases (model, alias, version, move_id) VALUES (NEW.model, NEW.alias, NEW.to_version, NEW.id)
            ON CONFLICT (model, alias) DO UPDATE SET version = EXCLUDED.version, move_id = EXCLUDED.move_id;
            RETURN NULL;
        END $$;
        CREATE OR REPLACE FUNCTION ml.note_from_version() RETURNS trigger LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            NEW.from_version := (SELECT version FROM ml.aliases WHERE model = NEW.model AND alias = NEW.alias);
            RETURN NEW;
        END $$;

        ALTER TABLE ml.versions
            ADD COLUMN sha256 text REFERENCES ml.artifacts (sha256),
            ADD COLUMN parity_max_abs_diff double precision,
            ADD COLUMN features text[],
            ADD COLUMN feature_set_version text;
        UPDATE ml.versions AS v
        SET sha256 = c.sha256, parity_max_abs_diff = c.parity, features = i.features, feature_set_version = i.feature_set_version
        FROM ml.components AS c JOIN ml.version_inputs AS i USING (model, version)
        WHERE c.format = 'onnx' AND v.model = c.model AND v.version = c.version;
        ALTER TABLE ml.versions
            ALTER COLUMN sha256 SET NOT NULL,
            ALTER COLUMN parity_max_abs_diff SET NOT NULL,
            ALTER COLUMN features SET NOT NULL,
            ALTER COLUMN feature_set_version SET NOT NULL;
        DROP TABLE ml.components, ml.version_inputs;
        ALTER TABLE ml.versions
            DROP COLUMN label, DROP COLUMN major, DROP COLUMN minor, DROP COLUMN patch, DROP COLUMN n_symbols,
            DROP COLUMN candidate, DROP COLUMN spec_sha256, DROP CONSTRAINT versions_model_fkey;
        GRANT INSERT (sha256, parity_max_abs_diff, features, feature_set_version) ON ml.versions TO forecastle_worker;

        ALTER TABLE ml.runs ADD COLUMN spec jsonb, DROP CONSTRAINT runs_model_fkey;
        UPDATE ml.runs AS r SET spec = s.document FROM ml.specs AS s WHERE s.sha256 = r.spec_sha256;
        ALTER TABLE ml.runs ALTER COLUMN spec SET NOT NULL, DROP COLUMN spec_sha256;
        DROP TABLE ml.specs, ml.models;
        REVOKE USAGE ON SCHEMA ml FROM forecastle_approver;
    """)
    for table in IMMUTABLE:
        op.execute(f"ALTER TABLE {table} ENABLE TRIGGER is_immutable")
    op.execute("""
        DO $$ BEGIN
            EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM forecastle_approver', current_database());
        END $$
    """)
