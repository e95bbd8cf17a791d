with lots as (
    select *, expiry_date - {{ as_of() }} as days_left
    from {{ ref('stg_inventory') }}
    where on_hand > 0 and expiry_date <= {{ as_of() }} + 90
)

select
    item_id,
    lot_id,
    lot_number,
    product_id,
    product_name,
    sku,
    location_id,
    location_name,
    bin_name,
    expiry_date,
    days_left,
    case
        when days_left < 0 then 'expired'
        when days_left <= 30 then '0-30'
        when days_left <= 60 then '31-60'
        else '61-90'
    end as days_window,
    on_hand,
    value
from lots
