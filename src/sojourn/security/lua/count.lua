-- Count failures; the first one of a window says when it ends.
--
-- KEYS  1 counter (string)   ARGV  1 how many   2 window, ms
-- Reply {count, ms left}
local found = redis.call('GET', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 or not string.match(found or '', '^%d+$') then -- none runs, or what a human has set
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return {tonumber(ARGV[1]), tonumber(ARGV[2])}
end
return {redis.call('INCRBY', KEYS[1], ARGV[1]), left}
