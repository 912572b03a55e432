-- The tables of one ingest, gone when its transaction ends. staged_earnings: one row per row of the file that can be
-- read, its symbol known. rejected_lines: one row per row that cannot be true, its row NULL where staged_earnings has it.
-- changed_lines: one row per staged row that corrects one of the warehouse.
CREATE TEMPORARY TABLE staged_earnings (
    line bigint PRIMARY KEY,
    symbol_id bigint NOT NULL,
    ticker text NOT NULL,
    date date NOT NULL,
    quarter text,
    eps_estimate double precision,
    eps_actual double precision,
    release text NOT NULL,
    ts timestamptz
) ON COMMIT DROP;

CREATE TEMPORARY TABLE rejected_lines (
    line bigint PRIMARY KEY,
    reason text NOT NULL,
    row jsonb
) ON COMMIT DROP;

CREATE TEMPORARY TABLE changed_lines (
    line bigint PRIMARY KEY
) ON COMMIT DROP;
