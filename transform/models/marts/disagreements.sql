with products as (
    select
        coalesce(stock.location_id, atp.location_id) as location_id,
        coalesce(stock.product_id, atp.product_id) as product_id,
        coalesce(stock.on_hand, 0) as stock_on_hand,
        coalesce(stock.reserved, 0) as stock_reserved,
        coalesce(atp.on_hand, 0) as atp_on_hand,
        coalesce(atp.reserved, 0) as atp_reserved
    from {{ ref('stock') }} as stock
    full join {{ ref('stg_inventory_atp') }} as atp
        on stock.location_id = atp.location_id and stock.product_id = atp.product_id
),

stock_by_location as (
    select location_id, sum(on_hand) as on_hand, sum(value) as value
    from {{ ref('stock') }}
    group by location_id
),

-- Of analytics, only the running month is about today's stock; where the as-of date is
-- long over, that is the last of those that run.
running as (
    select * from {{ ref('turnover') }}
    where is_running and month = (select max(month) from {{ ref('turnover') }})
),

locations as (
    select
        coalesce(stock.location_id, running.location_id) as location_id,
        coalesce(stock.on_hand, 0) as stock_on_hand,
        coalesce(stock.value, 0) as stock_value,
        coalesce(running.units, 0) as analytics_units,
        coalesce(running.value, 0) as analytics_value
    from stock_by_location as stock
    full join running on stock.location_id = running.location_id
    where exists (select 1 from running)
),

compared as (
    select
        'ATP' as source, 'units on hand' as measure, location_id, product_id,
        stock_on_hand as in_inventory, atp_on_hand as in_source
    from products
    union all
    select
        'ATP', 'units reserved', location_id, product_id,
        stock_reserved, atp_reserved
    from products
    union all
    select
        'analytics', 'units on hand', location_id, null,
        stock_on_hand, analytics_units
    from locations
    union all
    select
        'analytics', 'value', location_id, null,
        stock_value, analytics_value
    from locations
)

select *, in_source - in_inventory as difference
from compared
-- The API may round what it adds up.
where abs(in_source - in_inventory) > 0.01
