-- Enter names into an index until an instant, and drop those whose instant has passed.
--
-- KEYS  1 index (zset: name → until, ms)
-- ARGV  1 ttl, ms or '' (never)   2… names
-- Reply {'ok'}
local left = redis.call('PTTL', KEYS[1])
local until_ms = ARGV[1] == '' and '+inf' or now + tonumber(ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 'GT', until_ms, ARGV[i]) end
write_lifetime(KEYS[1], left, ARGV[1])
return {'ok'}
