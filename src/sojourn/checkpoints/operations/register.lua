-- Enter a name into an index that lists it until an instant, or for ever.
--
-- KEYS  1 index (zset: name → until, ms)
-- ARGV  1 name   2 how long, ms or '' (for ever)
local before = redis.call('ZSCORE', KEYS[1], ARGV[1])
local till = ARGV[2] == '' and 'inf' or whole(now + ARGV[2])
if not before or (before ~= 'inf' and (till == 'inf' or tonumber(before) < tonumber(till))) then
  redis.call('ZADD', KEYS[1], till == 'inf' and '+inf' or till, ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
if last then write_expiry(KEYS[1], last == 'inf' and '' or last) end
return 1
