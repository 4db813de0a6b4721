-- Replace wrapped keys, each only if it is still the one that was read.
--
-- KEYS  1 data keys (hash)
-- ARGV  for each: 1 id   2 value that was read   3 value to write
-- Reply how many are written now
local count = 0
for i = 1, #ARGV, 3 do
  local field = 'key:' .. ARGV[i]
  local value = redis.call('HGET', KEYS[1], field)
  if value == ARGV[i + 1] then
    redis.call('HSET', KEYS[1], field, ARGV[i + 2])
  end
  if value == ARGV[i + 1] or value == ARGV[i + 2] then count = count + 1 end
end
if count > 0 then write_again(KEYS[1]) end
return count
