-- Mark runs of a job that were due and did not happen, except where an attempt came to an end or the mark is there.
-- One row per as-of of :as_ofs that is marked.
INSERT INTO monitoring.job_runs (job, as_of, attempt, state, scheduled, finished_at, error)
SELECT
    :job,
    due.as_of,
    coalesce(max(known.attempt), 0) + 1,
    'missed',
    true,
    clock_timestamp(),
    due.error
FROM unnest(CAST(:as_ofs AS timestamptz []), CAST(:errors AS text [])) AS due (as_of, error)
LEFT JOIN monitoring.job_runs AS known ON known.job = :job AND known.as_of = due.as_of
GROUP BY due.as_of, due.error
HAVING NOT coalesce(bool_or(known.state IN ('succeeded', 'failed', 'missed')), false)
RETURNING as_of
