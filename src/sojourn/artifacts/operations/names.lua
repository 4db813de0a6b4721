-- The names of the artifacts that have not expired.
--
-- KEYS  1 index (zset: name → expires, ms)
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. whole(now), '+inf')
