SELECT
    feature,
    day,
    round(psi::numeric, 3) AS psi,
    n_reference,
    n_current,
    state
FROM feature_drift
WHERE day = (SELECT max(day) FROM feature_drift)
ORDER BY psi DESC NULLS LAST
LIMIT 6;
