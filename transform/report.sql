-- What the report shows: sections, and in them a query for each table and chart. The
-- word says how it is drawn, by a function of report.py; an @ stands before a mart.

-- # What is where

-- tiles: In all
SELECT sum(value) AS value, sum(on_hand) AS units,
count(DISTINCT product_id) AS products, count(DISTINCT location_id) AS
locations, sum(units_without_value) AS units_without_value FROM @stock;

-- bars: Value by location
SELECT coalesce(location_name, location_id) AS location, sum(value) AS value
FROM @stock GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 12;

-- table: Worth most
SELECT product_name AS product, on_hand AS units, value,
location_name AS location FROM @stock ORDER BY value DESC, sku, 4 LIMIT 8;

-- # What expires

-- tiles: In all
SELECT count(*) AS lots, sum(on_hand) AS units,
sum(CASE WHEN days_left < 0 THEN value END) AS value_expired,
sum(CASE WHEN days_left BETWEEN 0 AND 30 THEN value END) AS within_30_days,
sum(CASE WHEN days_left BETWEEN 0 AND 60 THEN value END) AS within_60_days,
sum(CASE WHEN days_left >= 0 THEN value END) AS within_90_days
FROM @expiring_lots;

-- bars: Value by days left
SELECT days_window AS days, sum(value) AS value FROM @expiring_lots
GROUP BY 1 ORDER BY min(days_left);

-- table: Next
SELECT expiry_date AS expires, product_name AS product, on_hand AS units,
value, location_name AS location, lot_number AS lot FROM @expiring_lots
WHERE days_left >= 0 ORDER BY 1, item_id LIMIT 8;

-- # What is short

-- tiles: In all
SELECT sum(CASE WHEN severity = 'CRITICAL' THEN 1 END) AS critical,
sum(CASE WHEN severity = 'LOW' THEN 1 END) AS low, count(*) AS
products_in_channels FROM @availability;

-- bars_by_severity: Products by channel
SELECT coalesce(channel_name, channel_id) AS channel, severity,
count(*) AS products FROM @availability WHERE is_short
GROUP BY 1, 2 ORDER BY 1, 2;

-- table: Shortest
SELECT product_name AS product, atp, threshold, severity,
coalesce(channel_name, channel_id) AS channel, location_name AS location
FROM @availability WHERE is_short ORDER BY missing DESC, sku, 6, 5 LIMIT 8;

-- # How it turns over

-- months: Value at the month's end
SELECT month, sum(value) AS value FROM @turnover GROUP BY 1 ORDER BY 1;

-- months: Turnover in the month, where most is
SELECT month, location_name AS location, turnover_rate FROM @turnover
WHERE NOT is_running AND location_id IN (SELECT location_id FROM @stock
GROUP BY 1 ORDER BY sum(value) DESC LIMIT 4) ORDER BY 1, 2;

-- months: Items that move slowly
SELECT month, sum(slow_moving_items) AS items FROM @turnover
GROUP BY 1 ORDER BY 1;

-- table: The last whole month
SELECT location_name AS location, turnover_rate AS turnover,
average_days_on_hand AS days, slow_moving_items AS slow, value,
value_change AS change FROM @turnover WHERE month =
(SELECT max(month) FROM @turnover WHERE NOT is_running)
ORDER BY value DESC, 1 LIMIT 12;

-- # How good the data are

-- table: Disagreements
SELECT source, measure, location_id AS location, product_id AS product,
in_inventory AS inventory, in_source AS theirs, difference
FROM @disagreements ORDER BY abs(difference) DESC, 1, 2, 3, 4 LIMIT 10;
