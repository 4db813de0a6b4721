-- How many sessions of a user are alive, as far as the index knows.
--
-- KEYS  1 sessions:expiry (zset: session → expires, ms)
-- Reply their number
return redis.call('ZCOUNT', KEYS[1], string.format('(%.0f', now), '+inf')
