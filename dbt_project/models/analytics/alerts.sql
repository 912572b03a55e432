-- What stands now and not what once stood: only the newest measurement of each model, check of each timeframe and suite
-- and run of each job and subject is looked at. Runs that were due and have not succeeded are another matter: the next day's success
-- does not bring the forecasts of the day before, so they stand for 30 days, or until they are made up.
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

-- An ingest with a subject was typed by hand: whoever typed it has read what was wrong with the file.
jobs as (
    select distinct on (job, subject) *
    from {{ ref('job_runs') }}
    where state <> 'missed' and not (job = 'ingest' and subject <> '')
    order by job asc, subject asc, started_at desc, attempt desc
),

not_succeeded as (
    select
        job,
        as_of,
        max(finished_at) as found_at
    from {{ ref('job_runs') }}
    where as_of > now() - interval '30 days'
    group by job, as_of
    having
        bool_or(scheduled)
        and not bool_or(state in ('succeeded', 'running'))
),

-- The newest run of a job has an alert of its own.
overdue as (
    select
        not_succeeded.job,
        count(*) as n,
        min(not_succeeded.as_of) as oldest,
        max(not_succeeded.as_of) as newest,
        max(not_succeeded.found_at) as found_at
    from not_succeeded
    left join jobs on not_succeeded.job = jobs.job and not_succeeded.as_of = jobs.as_of
    where jobs.job is null
    group by not_succeeded.job
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
    case when results.quarantined then 'quarantined' else 'failed' end as state,
    format('%s rows of %s at fault. %s', results.rows_at_fault, results.relation, results.why) as message
from {{ ref('data_quality') }} as results
inner join newest_check_runs on results.suite = newest_check_runs.suite and results.run_id = newest_check_runs.run_id
where not results.success

union all

select
    coalesce(finished_at, started_at) as raised_at,
    'job' as kind,
    job || case when subject = '' then '' else ' of ' || subject end as subject,
    state,
    format('As of %s, attempt %s: %s', as_of, attempt, coalesce(error, 'it did not end')) as message
from jobs
where state in ('failed', 'abandoned')

union all

select
    found_at as raised_at,
    'schedule' as kind,
    job as subject,
    'missed' as state,
    format(
        '%s that %s due from %s to %s UTC %s not succeeded. SELECT as_of, state, error FROM job_runs WHERE job = %L AND '
        'scheduled lists them; forecastle schedule run --once %s --as-of ... makes one up.',
        case n when 1 then '1 run' else n || ' runs' end, case n when 1 then 'was' else 'were' end,
        to_char(oldest at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), to_char(newest at time zone 'UTC', 'YYYY-MM-DD HH24:MI'),
        case n when 1 then 'has' else 'have' end, job, job
    ) as message
from overdue
