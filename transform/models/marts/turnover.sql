with locations as (
    select location_id, max(location_name) as location_name
    from {{ ref('stg_inventory') }}
    group by location_id
)

select
    analytics.location_id,
    coalesce(locations.location_name, analytics.location_id) as location_name,
    analytics.period_from as month,
    -- Not by period_to, which is the day of the load while the month runs.
    analytics.period_from >= cast(date_trunc('month', {{ as_of() }}) as date)
        as is_running,
    analytics.value,
    analytics.value - lag(analytics.value) over (
        partition by analytics.location_id order by analytics.period_from
    ) as value_change,
    analytics.units,
    analytics.turnover_rate,
    analytics.average_days_on_hand,
    analytics.slow_moving_items,
    analytics.expiring_items
from {{ ref('stg_inventory_analytics') }} as analytics
left join locations on analytics.location_id = locations.location_id
-- A month that start_date cuts short compares with no other.
where analytics.granularity = 'month' and extract(day from analytics.period_from) = 1
