-- Of the checks of one as-of the newest counts, as at the gate; those of a training set are its run's own.
with checked as (
    select
        *,
        row_number() over (partition by timeframe, suite order by as_of) as nth
    from (
        select distinct on (results.timeframe, results.suite, results.as_of)
            results.timeframe,
            results.suite,
            results.as_of,
            results.run_id
        from {{ source('monitoring', 'check_results') }} as results
        left join {{ source('ml', 'runs') }} as training on results.run_id = training.run_id
        where training.run_id is null
        order by results.timeframe, results.suite, results.as_of, results.checked_at desc
    ) as newest
),

-- Checks that follow each other have the same difference between their number and their rank among those at fault.
at_fault as (
    select
        faults.symbol_id,
        faults.suite,
        faults.expectation,
        faults.relation,
        faults.rows_at_fault,
        faults.run_id,
        checked.timeframe,
        checked.as_of,
        checked.nth,
        checked.nth - row_number() over (
            partition by faults.symbol_id, checked.timeframe, faults.suite, faults.expectation, faults.relation
            order by checked.nth
        ) as stretch
    from {{ source('monitoring', 'symbols_at_fault') }} as faults
    inner join checked on faults.run_id = checked.run_id and faults.suite = checked.suite
),

stretches as (
    select
        symbol_id,
        timeframe,
        suite,
        expectation,
        relation,
        min(as_of) as since,
        max(nth) as last_nth,
        (array_agg(rows_at_fault order by nth desc))[1] as rows_at_fault,
        (array_agg(run_id order by nth desc))[1] as run_id
    from at_fault
    group by symbol_id, timeframe, suite, expectation, relation, stretch
)

select
    stretches.symbol_id,
    symbols.ticker,
    stretches.timeframe,
    stretches.suite,
    stretches.expectation,
    stretches.since,
    next_check.as_of as until,
    stretches.rows_at_fault,
    results.why,
    not results.quarantined as gate_closed,
    stretches.run_id
from stretches
inner join {{ ref('symbols') }} as symbols on stretches.symbol_id = symbols.id
inner join {{ source('monitoring', 'check_results') }} as results
    on
        stretches.run_id = results.run_id
        and stretches.suite = results.suite
        and stretches.expectation = results.expectation
        and stretches.relation = results.relation
left join checked as next_check
    on
        stretches.timeframe = next_check.timeframe
        and stretches.suite = next_check.suite
        and stretches.last_nth + 1 = next_check.nth
