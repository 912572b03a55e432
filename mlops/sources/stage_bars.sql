-- The tables of one ingest, gone when its transaction ends. staged_bars: one row per row of the file that can be read,
-- NaN for a missing number and -infinity for a known_at that the file does not give; symbol_no is the symbol's id, or
-- negative while it has none. staged_symbols: one row per symbol of the file. rejected_lines: one row per row that
-- cannot be true, its row NULL where staged_bars has it. changed_lines: one row per staged bar that corrects another.
CREATE TEMPORARY TABLE staged_bars (
    line bigint NOT NULL,
    symbol_no bigint NOT NULL,
    ts timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    known_at timestamptz NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL,
    adj_close double precision NOT NULL
) ON COMMIT DROP;

CREATE TEMPORARY TABLE staged_symbols (
    symbol_no bigint PRIMARY KEY,
    ticker text NOT NULL,
    symbol_id bigint,
    asset_class text NOT NULL,
    exchange text NOT NULL,
    timezone text NOT NULL
) ON COMMIT DROP;

CREATE TEMPORARY TABLE rejected_lines (
    line bigint PRIMARY KEY,
    reason text NOT NULL,
    row jsonb
) ON COMMIT DROP;

CREATE TEMPORARY TABLE changed_lines (
    line bigint PRIMARY KEY
) ON COMMIT DROP;
