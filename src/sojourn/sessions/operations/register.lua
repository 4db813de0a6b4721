-- Enter names into an index until an instant, and drop those whose instant has passed.
--
-- KEYS  1 index (zset: name → until, ms)
-- ARGV  1 ttl, ms or '' (never)   2… names
-- Reply {'ok'}
local left = redis.call('PTTL', KEYS[1])
local until_ms = now + (ARGV[1] == '' and 3155760000000 or tonumber(ARGV[1])) -- never: a century
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 'GT', until_ms, ARGV[i]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
write_lifetime(KEYS[1], left, ARGV[1])
return {'ok'}
