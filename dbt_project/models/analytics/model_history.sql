-- Moves of one alias follow each other by number: two at the same moment are in the order in which they were made.
select
    id as move_id,
    model,
    alias,
    from_version,
    to_version,
    moved_at,
    moved_by,
    reason,
    lead(moved_at) over (partition by model, alias order by id) as moved_on_at
from {{ source('ml', 'alias_moves') }}
