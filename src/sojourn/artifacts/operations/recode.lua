-- Let a version have other data, and a record that says how these were written, if nobody has changed
-- it. Who reads the former data has ten minutes for it yet.
--
-- KEYS  1 artifact (hash)   2 data of this version until now   3 other data, which are there
-- ARGV  1 number of the version   2 its record, 3 what is beside it, and 4 what its data are called,
--         as they were; '' where there is nothing
--       5 its record as `write_version` takes it   6 created, s   7 what the other data are called
--       8 ms for which the former data stay
-- Reply 1; 0: nothing was written
local head, newer = head_of(KEYS[1])
if newer or not head or redis.call('EXISTS', KEYS[3]) == 0 then return 0 end
local number = ARGV[1]
local old = redis.call('HMGET', KEYS[1], 'version:' .. number, 'created:' .. number, 'data:' .. number)
for i = 1, 3 do
  if (old[i] or '') ~= ARGV[i + 1] then return 0 end
end
redis.call('HSET', KEYS[3], 'version', number)
redis.call('HDEL', KEYS[1], 'created:' .. number)
write_version(KEYS[1], number, ARGV[5], ARGV[6], ARGV[7])
write_expiry(KEYS[3], head.expires)
local left = redis.call('PTTL', KEYS[2])
if left == -1 or left > tonumber(ARGV[8]) then redis.call('PEXPIRE', KEYS[2], ARGV[8]) end
return 1
