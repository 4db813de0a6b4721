-- Delete entries of a scope and, when none is left, all that they shared. Search indexes are not told:
-- one that knows an older state finds another scope. Keys of another type are deleted as well.
--
-- KEYS  1–6 as in put.lua   7… entries
-- ARGV  their keys
-- Reply {1 if nothing is left, or 0, how many there were}
local many = 0
for i = 7, #KEYS do many = many + redis.call('UNLINK', KEYS[i]) end
for i = 2, 4 do
  if redis.call('TYPE', KEYS[i]).ok ~= 'zset' then
    redis.call('UNLINK', KEYS[i])
  else
    for _, key in ipairs(ARGV) do redis.call('ZREM', KEYS[i], key) end
  end
end
local left = redis.call('EXISTS', KEYS[2], KEYS[3], KEYS[4])
if left == 0 then for i = 1, 6 do redis.call('UNLINK', KEYS[i]) end end
return {left == 0 and 1 or 0, many}
