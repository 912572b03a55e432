"""Models and what they say: runs, training rows, artifacts, versions, aliases, predictions, outcomes.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of schema ml."""
    op.execute("SET LOCAL ROLE forecastle_owner")
    op.execute("""
        CREATE TABLE ml.runs (
            run_id       uuid PRIMARY KEY,
            model        text NOT NULL,
            as_of        timestamptz NOT NULL,
            status       text NOT NULL CHECK (status IN ('running', 'succeeded', 'blocked', 'failed', 'abandoned')),
            spec         jsonb NOT NULL,
            started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
            finished_at  timestamptz,
            n_train      bigint,
            n_validation bigint,
            n_test       bigint,
            n_excluded   bigint,
            metrics      jsonb,
            error        text,
            CHECK ((status = 'running') = (finished_at IS NULL))
        );
        COMMENT ON TABLE ml.runs IS 'One row per training run, whatever became of it.';
        COMMENT ON COLUMN ml.runs.as_of IS 'Nothing known after this moment was used.';
        COMMENT ON COLUMN ml.runs.n_excluded IS 'Rows left out: a NULL feature, or a label not yet known.';

        -- The actual training set of a run, row by row, for the checks to prove and the trainer to read.
        -- UNLOGGED and emptied when the run ends: the version knows how to build it again.
        CREATE UNLOGGED TABLE ml.training_rows (
            run_id         uuid NOT NULL,
            symbol_id      bigint NOT NULL,
            timeframe      text NOT NULL,
            ts             timestamptz NOT NULL,
            as_of          timestamptz NOT NULL,
            label_known_at timestamptz NOT NULL,
            split          text NOT NULL CHECK (split IN ('train', 'validation', 'test', 'purged', 'embargoed')),
            PRIMARY KEY (run_id, symbol_id, timeframe, ts)
        );
        COMMENT ON TABLE ml.training_rows IS 'One row per run, symbol, timeframe and bar, while the run goes on.';
        COMMENT ON COLUMN ml.training_rows.label_known_at IS
            'When the last of the row''s labels is known, of all horizons of the run.';

        -- Filled and read within seconds: autovacuum is too late, and only the owner may ANALYZE (before PostgreSQL 17).
        CREATE FUNCTION ml.analyze_training_rows() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            ANALYZE ml.training_rows;
        END $$;
        REVOKE EXECUTE ON FUNCTION ml.analyze_training_rows FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION ml.analyze_training_rows TO forecastle_worker;

        CREATE TABLE ml.artifacts (
            sha256     text PRIMARY KEY,
            format     text NOT NULL CHECK (format = 'onnx'),
            bytes      bytea NOT NULL,
            size_bytes bigint GENERATED ALWAYS AS (length(bytes)) STORED,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            CHECK (sha256 = encode(sha256(bytes), 'hex'))
        );
        COMMENT ON TABLE ml.artifacts IS 'One row per content: model files under the SHA-256 of their bytes.';

        CREATE TABLE ml.versions (
            model               text NOT NULL,
            version             integer NOT NULL CHECK (version > 0),
            run_id              uuid NOT NULL UNIQUE REFERENCES ml.runs (run_id),
            sha256              text NOT NULL REFERENCES ml.artifacts (sha256),
            created_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
            family              text NOT NULL,
            timeframe           text NOT NULL,
            horizons            integer[] NOT NULL,
            features            text[] NOT NULL,
            feature_set_version text NOT NULL,
            data_from           timestamptz NOT NULL,
            data_to             timestamptz NOT NULL,
            data_fingerprint    text NOT NULL,
            split               jsonb NOT NULL,
            seed                bigint NOT NULL,
            hyperparameters     jsonb NOT NULL,
            packages            jsonb NOT NULL,
            code_revision       text NOT NULL,
            metrics             jsonb NOT NULL,
            parity_max_abs_diff double precision NOT NULL,
            PRIMARY KEY (model, version)
        );
        COMMENT ON TABLE ml.versions IS 'One row per model version, never changed: all that is needed to train it again.';
        COMMENT ON COLUMN ml.versions.data_fingerprint IS 'SHA-256 over the training rows, features and labels in key order.';

        CREATE TABLE ml.references (
            model   text NOT NULL,
            version integer NOT NULL,
            feature text NOT NULL,
            edges   double precision[] NOT NULL,
            counts  bigint[] NOT NULL,
            PRIMARY KEY (model, version, feature),
            FOREIGN KEY (model, version) REFERENCES ml.versions (model, version),
            CHECK (cardinality(counts) = cardinality(edges) + 1)
        );
        COMMENT ON TABLE ml.references IS
            'What drift is measured against. One row per version and feature, or prediction (named like p50_h5).';
        COMMENT ON COLUMN ml.references.edges IS
            'Inner quantile edges, ascending and distinct: bin i holds edges[i-1] <= x < edges[i].';

        CREATE TABLE ml.baselines (
            model             text NOT NULL,
            version           integer NOT NULL,
            horizon           integer NOT NULL,
            accuracy          double precision NOT NULL,
            train_median      double precision NOT NULL,
            majority_class    text NOT NULL,
            PRIMARY KEY (model, version, horizon),
            FOREIGN KEY (model, version) REFERENCES ml.versions (model, version)
        );
        COMMENT ON TABLE ml.baselines IS 'What realised accuracy is held against. One row per version and horizon.';
        COMMENT ON COLUMN ml.baselines.accuracy IS 'Directional accuracy on the validation part, 0 to 1.';

        CREATE TABLE ml.alias_moves (
            id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            model        text NOT NULL,
            alias        text NOT NULL CHECK (alias IN ('production', 'staging')),
            from_version integer,
            to_version   integer NOT NULL,
            moved_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
            moved_by     text NOT NULL DEFAULT session_user,
            reason       text NOT NULL CHECK (reason <> ''),
            FOREIGN KEY (model, to_version) REFERENCES ml.versions (model, version)
        );
        COMMENT ON TABLE ml.alias_moves IS 'Who moved which alias, when, why and from where. One row per move.';

        CREATE TABLE ml.aliases (
            model   text NOT NULL,
            alias   text NOT NULL,
            version integer NOT NULL,
            move_id bigint NOT NULL UNIQUE REFERENCES ml.alias_moves (id),
            PRIMARY KEY (model, alias),
            FOREIGN KEY (model, version) REFERENCES ml.versions (model, version)
        );
        COMMENT ON TABLE ml.aliases IS
            'Where an alias points now; written by the trigger on ml.alias_moves and by nothing else. '
            'One row per model and alias.';

        CREATE FUNCTION ml.move_alias() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            INSERT INTO ml.aliases (model, alias, version, move_id) VALUES (NEW.model, NEW.alias, NEW.to_version, NEW.id)
            ON CONFLICT (model, alias) DO UPDATE SET version = EXCLUDED.version, move_id = EXCLUDED.move_id;
            RETURN NULL;
        END $$;
        CREATE TRIGGER moves_alias AFTER INSERT ON ml.alias_moves FOR EACH ROW EXECUTE FUNCTION ml.move_alias();

        CREATE FUNCTION ml.note_from_version() RETURNS trigger LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            NEW.from_version := (SELECT version FROM ml.aliases WHERE model = NEW.model AND alias = NEW.alias);
            RETURN NEW;
        END $$;
        CREATE TRIGGER notes_from_version BEFORE INSERT ON ml.alias_moves
            FOR EACH ROW EXECUTE FUNCTION ml.note_from_version();

        CREATE FUNCTION ml.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '%.% is append-only: a row is never changed or deleted', TG_TABLE_SCHEMA, TG_TABLE_NAME
                USING ERRCODE = 'integrity_constraint_violation', HINT = 'Add a new version and move the alias.';
        END $$;
        CREATE TRIGGER is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ml.artifacts
            FOR EACH STATEMENT EXECUTE FUNCTION ml.refuse_change();
        CREATE TRIGGER is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ml.versions
            FOR EACH STATEMENT EXECUTE FUNCTION ml.refuse_change();
        CREATE TRIGGER is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ml.references
            FOR EACH STATEMENT EXECUTE FUNCTION ml.refuse_change();
        CREATE TRIGGER is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ml.baselines
            FOR EACH STATEMENT EXECUTE FUNCTION ml.refuse_change();
        CREATE TRIGGER is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ml.alias_moves
            FOR EACH STATEMENT EXECUTE FUNCTION ml.refuse_change();

        CREATE TABLE ml.predictions (
            model               text NOT NULL,
            version             integer NOT NULL,
            symbol_id           bigint NOT NULL,
            timeframe           text NOT NULL,
            horizon             integer NOT NULL,
            as_of               timestamptz NOT NULL,
            ts                  timestamptz NOT NULL,
            target_ts           timestamptz NOT NULL,
            p10                 double precision NOT NULL,
            p50                 double precision NOT NULL,
            p90                 double precision NOT NULL,
            direction           text NOT NULL CHECK (direction IN ('BULLISH', 'NEUTRAL', 'BEARISH')),
            probability_bullish double precision NOT NULL,
            probability_neutral double precision NOT NULL,
            probability_bearish double precision NOT NULL,
            made_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (model, version, symbol_id, timeframe, horizon, as_of),
            CHECK (p10 <= p50 AND p50 <= p90),
            CHECK (abs(probability_bullish + probability_neutral + probability_bearish - 1) < 1e-3)
        );
        SELECT public.create_hypertable('ml.predictions', public.by_range('as_of', INTERVAL '3 months'));
        -- For people: the forecasts of one symbol, newest first, whatever the model.
        CREATE INDEX ON ml.predictions (symbol_id, timeframe, horizon, as_of DESC);
        COMMENT ON TABLE ml.predictions IS
            'Every forecast ever made, never rewritten. One row per model, version, symbol, timeframe, horizon and as-of.';
        COMMENT ON COLUMN ml.predictions.as_of IS
            'Nothing known after this moment was used: the known_at of the feature row, as a rule that of its newest bar.';
        COMMENT ON COLUMN ml.predictions.ts IS 'When the newest bar of the feature row opened.';
        COMMENT ON COLUMN ml.predictions.target_ts IS 'When, by the trading calendar, the horizon ends.';
        COMMENT ON COLUMN ml.predictions.p50 IS 'Median of the forward return over the horizon, as a fraction.';
        COMMENT ON COLUMN ml.predictions.made_at IS 'When the forecast was really computed: after target_ts, it is a replay.';

        CREATE TABLE ml.outcomes (
            model             text NOT NULL,
            version           integer NOT NULL,
            symbol_id         bigint NOT NULL,
            timeframe         text NOT NULL,
            horizon           integer NOT NULL,
            as_of             timestamptz NOT NULL,
            ts                timestamptz NOT NULL,
            actual            double precision NOT NULL,
            actual_direction  text NOT NULL CHECK (actual_direction IN ('BULLISH', 'NEUTRAL', 'BEARISH')),
            error             double precision NOT NULL,
            naive_error       double precision NOT NULL,
            hit               boolean NOT NULL,
            covered           boolean NOT NULL,
            known_at          timestamptz NOT NULL,
            recorded_at       timestamptz NOT NULL,
            resolved_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (model, version, symbol_id, timeframe, horizon, as_of)
        );
        SELECT public.create_hypertable('ml.outcomes', public.by_range('as_of', INTERVAL '3 months'));
        CREATE INDEX ON ml.outcomes (known_at);
        CREATE INDEX ON ml.outcomes (recorded_at);
        COMMENT ON TABLE ml.outcomes IS
            'What came of the forecasts. One row per prediction whose horizon has passed.';
        COMMENT ON COLUMN ml.outcomes.ts IS 'When the newest bar of the prediction opened.';
        COMMENT ON COLUMN ml.outcomes.actual IS 'Forward return that came true over the horizon, as a fraction.';
        COMMENT ON COLUMN ml.outcomes.error IS 'p50 - actual, as a fraction.';
        COMMENT ON COLUMN ml.outcomes.naive_error IS 'Zero return - actual, as a fraction.';
        COMMENT ON COLUMN ml.outcomes.hit IS 'The direction that was forecast came true.';
        COMMENT ON COLUMN ml.outcomes.covered IS 'The actual return lies within [p10, p90].';
        COMMENT ON COLUMN ml.outcomes.known_at IS 'When the market knew the actual: the close of the bar that ends the horizon.';
        COMMENT ON COLUMN ml.outcomes.recorded_at IS 'When this database learnt the bars that the actual comes from.';
        COMMENT ON COLUMN ml.outcomes.resolved_at IS 'When the outcome was filled in, or corrected.';

        -- What is still open, so that resolving costs by what is open and not by all that was ever forecast.
        -- Kept by triggers: it holds whoever writes, and for an owner who deletes by hand, too.
        CREATE TABLE ml.unresolved (
            model     text NOT NULL,
            version   integer NOT NULL,
            symbol_id bigint NOT NULL,
            timeframe text NOT NULL,
            horizon   integer NOT NULL,
            as_of     timestamptz NOT NULL,
            ts        timestamptz NOT NULL,
            target_ts timestamptz NOT NULL,
            PRIMARY KEY (model, version, symbol_id, timeframe, horizon, as_of)
        );
        CREATE INDEX ON ml.unresolved (ts);
        COMMENT ON TABLE ml.unresolved IS
            'Predictions without an outcome; written by the triggers on ml.predictions and ml.outcomes and by nothing else. '
            'One row per prediction whose outcome is not known yet.';

        CREATE FUNCTION ml.follow_predictions() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                INSERT INTO ml.unresolved VALUES (NEW.model, NEW.version, NEW.symbol_id, NEW.timeframe, NEW.horizon,
                                                  NEW.as_of, NEW.ts, NEW.target_ts);
            ELSE
                DELETE FROM ml.outcomes
                WHERE (model, version, symbol_id, timeframe, horizon, as_of)
                    = (OLD.model, OLD.version, OLD.symbol_id, OLD.timeframe, OLD.horizon, OLD.as_of);
                DELETE FROM ml.unresolved
                WHERE (model, version, symbol_id, timeframe, horizon, as_of)
                    = (OLD.model, OLD.version, OLD.symbol_id, OLD.timeframe, OLD.horizon, OLD.as_of);
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER is_followed AFTER INSERT OR DELETE ON ml.predictions
            FOR EACH ROW EXECUTE FUNCTION ml.follow_predictions();

        CREATE FUNCTION ml.follow_outcomes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                DELETE FROM ml.unresolved
                WHERE (model, version, symbol_id, timeframe, horizon, as_of)
                    = (NEW.model, NEW.version, NEW.symbol_id, NEW.timeframe, NEW.horizon, NEW.as_of);
            ELSE
                INSERT INTO ml.unresolved
                SELECT model, version, symbol_id, timeframe, horizon, as_of, ts, target_ts FROM ml.predictions
                WHERE (model, version, symbol_id, timeframe, horizon, as_of)
                    = (OLD.model, OLD.version, OLD.symbol_id, OLD.timeframe, OLD.horizon, OLD.as_of);
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER is_followed AFTER INSERT OR DELETE ON ml.outcomes
            FOR EACH ROW EXECUTE FUNCTION ml.follow_outcomes();

        GRANT SELECT ON ALL TABLES IN SCHEMA ml TO forecastle_worker;
        GRANT INSERT, UPDATE ON ml.runs, ml.outcomes TO forecastle_worker;
        GRANT INSERT, UPDATE, DELETE ON ml.training_rows TO forecastle_worker;
        GRANT INSERT ON ml.artifacts, ml.versions, ml.references, ml.baselines, ml.alias_moves, ml.predictions
            TO forecastle_worker;
    """)
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Drop the tables and functions of schema ml."""
    op.execute("""
        DROP TABLE ml.unresolved, ml.outcomes, ml.predictions, ml.aliases, ml.alias_moves, ml.baselines, ml.references,
                   ml.versions, ml.artifacts, ml.training_rows, ml.runs;
        DROP FUNCTION ml.follow_outcomes, ml.follow_predictions, ml.move_alias, ml.note_from_version, ml.refuse_change,
                      ml.analyze_training_rows
    """)
