SELECT
    registry.stage,
    registry.candidate,
    registry.version,
    test.key::integer AS horizon,
    (test.value ->> 'n')::integer AS n_test,
    round(100 * (test.value -> 'mae' ->> 'skill')::numeric, 1) AS mae,
    round(100 * (test.value -> 'pinball' ->> 'skill')::numeric, 1) AS pinball,
    round(100 * (test.value -> 'accuracy' ->> 'skill')::numeric, 1) AS accuracy
FROM model_registry AS registry
CROSS JOIN LATERAL jsonb_each(registry.metrics -> 'test') AS test
WHERE registry.stage IN ('production', 'challenger')
ORDER BY registry.stage DESC, registry.version, horizon;
