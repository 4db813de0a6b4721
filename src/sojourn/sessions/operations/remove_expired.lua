-- Take sessions that have expired out of their user's index, a bounded number at a time.
--
-- KEYS  1 sessions (zset: session → updated)   2 sessions:expiry (zset: session → expires, ms)
--       3 notices (stream), where they are wanted
-- ARGV  1 shared ttl, ms or '', for notices
-- Reply number of sessions taken out
local dead = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1000)
if #dead > 0 then
  redis.call('ZREM', KEYS[1], unpack(dead))
  redis.call('ZREM', KEYS[2], unpack(dead))
  if KEYS[3] then
    local changes = {}
    for i, expired in ipairs(dead) do changes[i] = {'expired', expired, 0} end
    write_notices(KEYS[3], ARGV[1], changes)
  end
end
return #dead
