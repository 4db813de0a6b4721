-- Register a scope in the index of scopes, and remove some that have expired.
--
-- KEYS  1 names (zset: name → 0)   2 expiry (zset: name → until, ms)
-- ARGV  1 name   2 ttl, ms or '' (never)
-- Reply {'ok'}
local name, ttl = unpack(ARGV)
redis.call('ZCARD', KEYS[1])
local left = redis.call('PTTL', KEYS[1]) -- as long as the last of the names
redis.call('ZADD', KEYS[2], 'GT', ttl == '' and '+inf' or whole(now + ttl), name)
redis.call('ZADD', KEYS[1], 0, name)
if redis.call('ZCARD', KEYS[1]) ~= redis.call('ZCARD', KEYS[2]) then -- one was evicted
  for _, other in ipairs(redis.call('ZDIFF', 2, KEYS[1], KEYS[2])) do
    redis.call('ZADD', KEYS[2], left < 0 and '+inf' or whole(now + left), other)
  end
  for _, other in ipairs(redis.call('ZDIFF', 2, KEYS[2], KEYS[1])) do
    redis.call('ZADD', KEYS[1], 0, other)
  end
end
for _, other in ipairs(expired(KEYS[2], 100)) do
  for i = 1, 2 do redis.call('ZREM', KEYS[i], other) end
end
write_lifetime(KEYS[2], {KEYS[1], KEYS[2]}, 0)
return {'ok'}
