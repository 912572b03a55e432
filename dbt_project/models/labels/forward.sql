{{ config(
    materialized='hypertable',
    definition=var('label_set_version'),
    meta={'label_set': 'forward', 'version': var('label_set_version')},
) }}
{{ labels_ahead('closes[bar + H] / closes[bar] - 1', var('label_set_version')) }}
