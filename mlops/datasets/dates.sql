-- Count the candidates by date: those that can be used, and those that are left out, by cause.
-- Grain: one row per date. `data_to` is when the last label of the date's usable rows is known; `recorded_until` when
-- this database learnt the newest bar behind the date's candidates.
SELECT
    date,
    count(*) FILTER (WHERE cause IS NULL) AS n_usable,
    count(*) FILTER (WHERE cause = 'null_feature') AS n_null_feature,
    count(*) FILTER (WHERE cause = 'known_late') AS n_known_late,
    count(*) FILTER (WHERE cause = 'label_unknown') AS n_label_unknown,
    min(as_of) FILTER (WHERE cause IS NULL) AS data_from,
    max(label_known_at) FILTER (WHERE cause IS NULL) AS data_to,
    min(feature_set_version) FILTER (WHERE cause IS NULL) AS first_version,
    max(feature_set_version) FILTER (WHERE cause IS NULL) AS last_version,
    max(recorded_at) AS recorded_until
FROM pg_temp.candidates
GROUP BY date
ORDER BY date
