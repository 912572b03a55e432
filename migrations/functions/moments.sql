-- Count, sum and sum of squared deviations of a window, as one array {n, sum, squares}: two neighbouring windows merge
-- with float8_combine, so a window of 20 costs two of 10; nothing is ever subtracted from a running total, so nothing
-- cancels out. Transition, merging and final functions are PostgreSQL's own (they make avg and stddev).
SET LOCAL ROLE forecastle_owner;

CREATE OR REPLACE AGGREGATE features.moments(double precision) (
    SFUNC = pg_catalog.float8_accum,
    STYPE = double precision[],
    COMBINEFUNC = pg_catalog.float8_combine,
    INITCOND = '{0,0,0}',
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE features.moments(double precision) IS
    'Of the values that are not NULL: {count, sum, sum of squared deviations from the mean}.';

RESET ROLE;
