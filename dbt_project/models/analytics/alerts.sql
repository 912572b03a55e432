-- What stands now and not what once stood: only the newest measurement of each model, check of each timeframe and suite
-- and run of each job is looked at.
with accuracy as (
    select *
    from (
        select
            *,
            rank() over (partition by model order by date desc, version desc) as nth
        from {{ ref('drift_monitoring') }}
    ) as ranked
    where nth = 1
),

features as (
    select *
    from (
        select
            *,
            rank() over (partition by model order by day desc, version desc) as nth
        from {{ ref('feature_drift') }}
    ) as ranked
    where nth = 1
),

-- As the gate before a forecast has it: by as-of first, and what a training run found in the rows that it reads is that
-- run's own. Of training sets the newest check speaks.
newest_check_runs as (
    select distinct on (checked.timeframe, checked.suite)
        checked.suite,
        checked.run_id
    from {{ ref('data_quality') }} as checked
    left join {{ source('ml', 'runs') }} as training on checked.run_id = training.run_id
    where
        checked.as_of <= now()
        and (training.run_id is null or checked.suite = 'training_set')
    order by checked.timeframe, checked.suite, checked.as_of desc, checked.checked_at desc
),

jobs as (
    select distinct on (job) *
    from {{ ref('job_runs') }}
    order by job, started_at desc
)

select
    created_at as raised_at,
    'accuracy' as kind,
    format('%s v%s, %s %s', model, version, ticker, timeframe) as subject,
    state,
    format(
        'The direction was right in %s %% of %s forecasts until %s; %s %% was to be expected.',
        round((100 * accuracy)::numeric, 1), n_predictions, date, round((100 * baseline_accuracy)::numeric, 1)
    ) as message
from accuracy
where state in ('alert', 'emergency')

union all

select
    measured_at as raised_at,
    'feature drift' as kind,
    format('%s v%s, %s', model, version, feature) as subject,
    state,
    format(
        'The stability index over %s values until %s is %s; above 0.25 they are not those of training.',
        n_current, day, round(psi::numeric, 2)
    ) as message
from features
where state = 'alert'

union all

select
    results.checked_at as raised_at,
    'check' as kind,
    format('%s: %s, %s', results.timeframe, results.suite, results.expectation) as subject,
    'failed' as state,
    format('%s rows of %s at fault. %s', results.rows_at_fault, results.relation, results.why) as message
from {{ ref('data_quality') }} as results
inner join newest_check_runs on results.suite = newest_check_runs.suite and results.run_id = newest_check_runs.run_id
where not results.success

union all

select
    coalesce(finished_at, started_at) as raised_at,
    'job' as kind,
    job as subject,
    state,
    format('As of %s, attempt %s: %s', as_of, attempt, coalesce(error, 'it did not end')) as message
from jobs
where state in ('failed', 'abandoned')
