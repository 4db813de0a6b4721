-- Show a thread that was staged, all at once.
--
-- KEYS  1 … 9 of the thread, as in shared.lua   10 … 15 the first six of the staged one
-- ARGV  1 thread   2 operation   3 expires, ms or '' (never)   4 created, s, or ''   5 updated, s, or ''
-- Reply {'ok'}   {'exists'} {'incomplete'} {'expired'}: nothing was written
local thread, operation, expires, created, updated = unpack(ARGV, 1, 5)
if redis.call('LPOS', KEYS[6], operation) then
  write_again(KEYS[1])
  return {'ok'}
end
if expires ~= '' and tonumber(expires) <= now then return {'expired'} end
if redis.call('EXISTS', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]) > 0 then return {'exists'} end
if redis.call('EXISTS', KEYS[10]) == 0 then return {'incomplete'} end
for i = 1, 6 do
  if redis.call('EXISTS', KEYS[9 + i]) == 1 then redis.call('RENAME', KEYS[9 + i], KEYS[i]) end
end
redis.call('HSET', KEYS[1], 'expires', expires)
if created ~= '' then redis.call('HSET', KEYS[1], 'created', created) end
local seconds = updated == '' and string.format('%d.%06d', clock[1], clock[2]) or updated
redis.call('HSET', KEYS[1], 'updated', seconds)
redis.call('DEL', KEYS[6])
redis.call('RPUSH', KEYS[6], operation)
for i = 1, 6 do write_expiry(KEYS[i], expires) end
redis.call('ZADD', KEYS[7], seconds, thread)
redis.call('ZADD', KEYS[8], expires == '' and '+inf' or expires, thread)
write_index_expiry()
return {'ok'}
