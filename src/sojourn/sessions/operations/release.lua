-- Take a record out of the quarantine.
--
-- KEYS  1 quarantine (hash: id → record; bytes → sum)
-- ARGV  1 id
-- Reply 1, or 0 when it is not there
local key = KEYS[1]
local size = redis.call('HSTRLEN', key, ARGV[1])
if ARGV[1] == 'bytes' or redis.call('HDEL', key, ARGV[1]) == 0 then return 0 end
if redis.call('HLEN', key) <= 1 then
  redis.call('UNLINK', key)
else
  local bytes = tonumber(redis.call('HGET', key, 'bytes')) or 0
  redis.call('HSET', key, 'bytes', math.max(0, bytes - size))
end
return 1
