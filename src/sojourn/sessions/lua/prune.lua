-- Take sessions that have expired out of their user's index, a bounded number at a time.
--
-- KEYS  1 sessions (zset: session → updated)   2 sessions:expiry (zset: session → expires, ms)
-- Reply number of sessions taken out
local dead = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1000)
if #dead > 0 then
  redis.call('ZREM', KEYS[1], unpack(dead))
  redis.call('ZREM', KEYS[2], unpack(dead))
end
return #dead
