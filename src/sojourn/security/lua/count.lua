-- Count failures; the first one of a window says when it ends.
--
-- KEYS  1 counter (string)   ARGV  1 how many   2 window, ms
-- Reply {count, ms left}
local failures, window = ARGV[1], ARGV[2]
local found = redis.call('GET', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 or not string.match(found or '', '^%d+$') then -- none runs, or what a human has set
  redis.call('SET', KEYS[1], failures, 'PX', window)
  return {tonumber(failures), tonumber(window)}
end
return {redis.call('INCRBY', KEYS[1], failures), left}
