-- Delete a thread, once.
--
-- KEYS  as in shared.lua
-- ARGV  1 thread   2 operation
-- Reply {1 if there was one}
local thread, operation = unpack(ARGV, 1, 2)
local deleted, missed = name_of('deleted', thread, operation), name_of('missed', thread, operation)
if redis.call('ZSCORE', KEYS[9], deleted) then
  write_again(KEYS[9])
  return {1}
end
if redis.call('ZSCORE', KEYS[9], missed) then
  write_again(KEYS[9])
  return {0}
end
local found = redis.call('EXISTS', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]) > 0
if not found and not redis.call('ZSCORE', KEYS[8], thread) then
  write_done({missed})
  return {0}
end
if redis.call('TYPE', KEYS[6]).ok ~= 'list' then redis.call('UNLINK', KEYS[6]) end
write_deletion(thread, deleted)
return {found and 1 or 0}
