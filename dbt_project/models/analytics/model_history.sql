-- An alias leaves a version by the first later move that takes it from there. Moves are in the order of their number: two
-- at the same moment are in the order in which they were made.
select
    moves.id as move_id,
    moves.model,
    moves.alias,
    moves.from_version,
    moves.to_version,
    moves.moved_at,
    moves.moved_by,
    moves.reason,
    next_move.moved_at as moved_on_at,
    moves.kind
from {{ source('ml', 'alias_moves') }} as moves
left join lateral (
    select later.moved_at
    from {{ source('ml', 'alias_moves') }} as later
    where
        moves.model = later.model
        and moves.alias = later.alias
        and moves.to_version = later.from_version
        and moves.id < later.id
    order by later.id
    limit 1
) as next_move on true
