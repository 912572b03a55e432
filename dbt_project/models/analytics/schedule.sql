-- The daemon alone reads crontab expressions, so no table has when a job is due next. What a clock that was ahead has
-- written of moments yet to come is left out.
with crontabs as (
    select distinct on (job)
        job,
        crontab,
        since
    from {{ source('monitoring', 'schedules') }}
    where since <= now()
    order by job asc, since desc
),

runs as (
    select
        job,
        as_of,
        bool_or(scheduled) as was_due,
        bool_or(state = 'succeeded') as succeeded,
        bool_or(state = 'running') as goes_on,
        (array_agg(state order by attempt desc))[1] as state
    from {{ ref('job_runs') }}
    where as_of <= now()
    group by job, as_of
)

select
    crontabs.job,
    crontabs.crontab,
    crontabs.since,
    max(runs.as_of) filter (where runs.was_due) as last_due_at,
    (array_agg(runs.state order by runs.as_of desc) filter (where runs.was_due))[1] as last_state,
    max(runs.as_of) filter (where runs.succeeded) as last_succeeded_for,
    count(*) filter (
        where runs.was_due and not runs.succeeded and not runs.goes_on and runs.as_of > now() - interval '30 days'
    ) as not_succeeded
from crontabs
left join runs on crontabs.job = runs.job
group by crontabs.job, crontabs.crontab, crontabs.since
