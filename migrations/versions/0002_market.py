"""What came in: symbols, sessions, bars, earnings, what was rejected and what was superseded.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of schema market."""
    op.execute("SET LOCAL ROLE forecastle_owner")
    op.execute("""
        CREATE TABLE market.symbols (
            id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            ticker      text NOT NULL UNIQUE CHECK (ticker <> ''),
            name        text,
            asset_class text NOT NULL CHECK (asset_class IN ('equity', 'fx', 'crypto', 'index')),
            exchange    text NOT NULL,
            timezone    text NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
        );
        COMMENT ON TABLE market.symbols IS 'One row per symbol.';
        COMMENT ON COLUMN market.symbols.exchange IS 'Name of its trading calendar in exchange-calendars, such as XNYS.';

        CREATE TABLE market.sessions (
            exchange  text NOT NULL,
            session   date NOT NULL,
            opens_at  timestamptz NOT NULL,
            closes_at timestamptz NOT NULL,
            ordinal   integer NOT NULL,
            PRIMARY KEY (exchange, session),
            UNIQUE (exchange, ordinal),
            CHECK (opens_at < closes_at)
        );
        CREATE INDEX ON market.sessions (exchange, closes_at);
        COMMENT ON TABLE market.sessions IS
            'The trading calendar, future sessions included. One row per exchange and session.';
        COMMENT ON COLUMN market.sessions.ordinal IS
            'Consecutive number of the session: h sessions ahead is ordinal + h.';

        CREATE TABLE market.ingests (
            id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            kind        text NOT NULL CHECK (kind IN ('bars', 'earnings')),
            source      text NOT NULL,
            sha256      text,
            timeframe   text,
            started_at  timestamptz NOT NULL,
            finished_at timestamptz NOT NULL,
            n_read      bigint NOT NULL,
            n_new       bigint NOT NULL,
            n_changed   bigint NOT NULL,
            n_unchanged bigint NOT NULL,
            n_rejected  bigint NOT NULL,
            CHECK (n_read = n_new + n_changed + n_unchanged + n_rejected)
        );
        COMMENT ON TABLE market.ingests IS 'One row per file or download that was taken in; its counts add up.';

        CREATE TABLE market.rejects (
            id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            ingest_id   bigint NOT NULL REFERENCES market.ingests (id),
            kind        text NOT NULL,
            file        text NOT NULL,
            line        bigint NOT NULL,
            reason      text NOT NULL,
            row         jsonb NOT NULL,
            recorded_at timestamptz NOT NULL
        );
        CREATE INDEX ON market.rejects (ingest_id);
        COMMENT ON TABLE market.rejects IS 'One row per row of a file that cannot be true.';
        COMMENT ON COLUMN market.rejects.line IS
            'Line in a CSV file, its header being line 1; row number from 1 elsewhere.';
    """)
    bar_columns = """
            symbol_id   bigint NOT NULL,
            timeframe   text NOT NULL,
            ts          timestamptz NOT NULL,
            open        double precision NOT NULL,
            high        double precision NOT NULL,
            low         double precision NOT NULL,
            close       double precision NOT NULL,
            volume      double precision,
            adj_close   double precision,
            known_at    timestamptz NOT NULL,
            recorded_at timestamptz NOT NULL,
            ingest_id   bigint
    """
    op.execute(f"""
        CREATE TABLE market.bars (
            {bar_columns},
            PRIMARY KEY (symbol_id, timeframe, ts),
            CHECK (low > 0 AND low <= open AND low <= close AND open <= high AND close <= high
                   AND high < 'Infinity'),
            CHECK (volume >= 0 AND volume < 'Infinity'),
            CHECK (adj_close > 0 AND adj_close < 'Infinity'),
            CHECK (ts < known_at)
        );
        SELECT public.create_hypertable('market.bars', public.by_range('ts', INTERVAL '1 year'),
                                        create_default_indexes => false);
        -- What is new since the last build of features is found by this, whatever its date: 0.3 s dearer to fill with
        -- 600,000 bars, and a day's build costs the same however long the history is.
        CREATE INDEX ON market.bars (recorded_at);
        COMMENT ON TABLE market.bars IS 'Bars as the source gave them. One row per symbol, timeframe and bar.';
        COMMENT ON COLUMN market.bars.ts IS 'When the bar opens, UTC.';
        COMMENT ON COLUMN market.bars.known_at IS 'When the market could know the bar: its close, unless the source says later.';
        COMMENT ON COLUMN market.bars.recorded_at IS 'When this database learnt this version of the bar.';
        COMMENT ON COLUMN market.bars.adj_close IS 'Close adjusted for splits and dividends; NULL where the source has none.';

        CREATE TABLE market.superseded_bars (
            {bar_columns},
            superseded_at timestamptz NOT NULL,
            PRIMARY KEY (symbol_id, timeframe, ts, superseded_at)
        );
        COMMENT ON TABLE market.superseded_bars IS
            'What a correction replaced. One row per symbol, timeframe, bar and correction.';
    """)
    earnings_columns = """
            symbol_id    bigint NOT NULL REFERENCES market.symbols (id),
            date         date NOT NULL,
            quarter      text,
            eps_estimate double precision,
            eps_actual   double precision,
            release      text NOT NULL CHECK (release IN ('pre', 'post')),
            ts           timestamptz NOT NULL,
            known_at     timestamptz NOT NULL,
            recorded_at  timestamptz NOT NULL,
            ingest_id    bigint
    """
    op.execute(f"""
        CREATE TABLE market.earnings ({earnings_columns}, PRIMARY KEY (symbol_id, date));
        COMMENT ON TABLE market.earnings IS 'One row per symbol and announcement day. EPS in USD.';
        COMMENT ON COLUMN market.earnings.ts IS
            'Latest moment at which the release can have happened: the open of the day (pre) or its end (post).';
        CREATE TABLE market.superseded_earnings (
            {earnings_columns},
            superseded_at timestamptz NOT NULL,
            PRIMARY KEY (symbol_id, date, superseded_at)
        );
        COMMENT ON TABLE market.superseded_earnings IS
            'What a correction replaced. One row per symbol, announcement day and correction.';

        GRANT SELECT ON ALL TABLES IN SCHEMA market TO forecastle_worker;
        GRANT INSERT, UPDATE ON market.symbols, market.sessions, market.bars, market.earnings TO forecastle_worker;
        GRANT INSERT ON market.ingests, market.rejects, market.superseded_bars, market.superseded_earnings
            TO forecastle_worker;
        -- Sessions to come follow the calendar package; an ingest takes its number before its row, which has the counts.
        GRANT DELETE ON market.sessions TO forecastle_worker;
        GRANT USAGE ON SEQUENCE market.ingests_id_seq TO forecastle_worker;
    """)
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Drop the tables of schema market."""
    op.execute("""
        DROP TABLE market.superseded_earnings, market.earnings, market.superseded_bars, market.bars,
                   market.rejects, market.ingests, market.sessions, market.symbols
    """)
