-- Delete some sessions of a user and, when none is left, what they shared. What is of another type
-- goes as well.
--
-- KEYS  1 sessions (zset)   2 sessions:expiry (zset)   3 operations of the user (zset)
--       4 state of the user (hash)   5 outbox (hash)
--       6… for each session: its hash, events, ops and ids
-- ARGV  names in the indexes, those of these sessions first
-- Reply {1 if nothing is left, or 0, sessions, events, operation ids, values of the user's state}
local function size(command, key)
  local count = redis.pcall(command, key)
  return type(count) == 'number' and count or 0
end
local sessions, events, operations, values = 0, 0, 0, 0
for i = 6, #KEYS, 4 do
  sessions = sessions + redis.call('EXISTS', KEYS[i])
  events = events + size('LLEN', KEYS[i + 1])
  operations = operations + size('ZCARD', KEYS[i + 2])
  redis.call('UNLINK', KEYS[i], KEYS[i + 1], KEYS[i + 2], KEYS[i + 3])
end
for i = 1, 2 do
  if redis.call('TYPE', KEYS[i]).ok ~= 'zset' then
    redis.call('UNLINK', KEYS[i])
  else
    for _, name in ipairs(ARGV) do redis.call('ZREM', KEYS[i], name) end
  end
end
local left = redis.call('EXISTS', KEYS[1], KEYS[2]) + size('HLEN', KEYS[5])
if left == 0 then
  operations = operations + size('ZCARD', KEYS[3])
  values = math.max(0, size('HLEN', KEYS[4]) - 1)
  redis.call('UNLINK', KEYS[3], KEYS[4], KEYS[5])
end
return {left == 0 and 1 or 0, sessions, events, operations, values}
