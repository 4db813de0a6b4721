-- Show a thread that was staged, all at once.
--
-- KEYS  1 … 10 of the thread, as in shared.lua   11 … 17 the first seven of the staged one
-- ARGV  1 thread   2 operation   3 expires, ms or '' (never)   4 created, s, or ''   5 updated, s, or ''
-- Reply {'ok'}   {'exists'} {'incomplete'} {'expired'}: nothing was written
local thread, operation, expires, created, updated = unpack(ARGV, 1, 5)
if redis.call('LPOS', KEYS[7], operation) then
  write_again(KEYS[1])
  return {'ok'}
end
if expires ~= '' and tonumber(expires) <= now then return {'expired'} end
if redis.call('EXISTS', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]) > 0 then return {'exists'} end
if redis.call('EXISTS', KEYS[11]) == 0 then return {'incomplete'} end
for i = 1, 7 do
  if redis.call('EXISTS', KEYS[10 + i]) == 1 then redis.call('RENAME', KEYS[10 + i], KEYS[i]) end
end
redis.call('HSET', KEYS[1], 'expires', expires)
if created ~= '' then redis.call('HSET', KEYS[1], 'created', created) end
local seconds = updated == '' and string.format('%d.%06d', clock[1], clock[2]) or updated
redis.call('HSET', KEYS[1], 'updated', seconds)
redis.call('DEL', KEYS[7])
redis.call('RPUSH', KEYS[7], operation)
for i = 1, 7 do write_expiry(KEYS[i], expires) end
redis.call('ZADD', KEYS[8], seconds, thread)
redis.call('ZADD', KEYS[9], expires == '' and '+inf' or expires, thread)
write_index_expiry()
return {'ok'}
