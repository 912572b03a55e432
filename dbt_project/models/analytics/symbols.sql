select
    symbol_id as id,
    ticker,
    name,
    asset_class,
    exchange,
    timezone
from {{ ref('stg_symbols') }}
