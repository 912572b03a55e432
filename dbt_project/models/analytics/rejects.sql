select
    id,
    kind,
    file,
    line,
    reason,
    recorded_at as rejected_at,
    row as content,
    ingest_id
from {{ source('market', 'rejects') }}
