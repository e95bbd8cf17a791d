select
    location_id,
    location_name,
    product_id,
    product_name,
    sku,
    channel_id,
    channel_name,
    atp,
    on_hand,
    reserved,
    available,
    coalesce(threshold, low_atp_threshold) as threshold,
    severity,
    coalesce(severity in ('LOW', 'CRITICAL'), false) as is_short,
    greatest(coalesce(threshold, low_atp_threshold) - atp, 0) as missing
from {{ ref('stg_inventory_atp_channels') }}
