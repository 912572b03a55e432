select
    moves.symbol_id,
    symbols.ticker,
    moves.timeframe,
    moves.ts,
    moves.reason,
    moves.confirmed_by,
    moves.confirmed_at
from {{ source('market', 'confirmed_moves') }} as moves
inner join {{ ref('stg_symbols') }} as symbols on moves.symbol_id = symbols.symbol_id
