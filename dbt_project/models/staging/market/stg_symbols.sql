select
    id as symbol_id,
    ticker,
    name,
    asset_class,
    exchange,
    timezone
from {{ source('market', 'symbols') }}
