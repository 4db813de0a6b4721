-- Take a job, or keep it, and write down how far it is.
--
-- KEYS  1 job (hash)
-- ARGV  1 who takes it     2 for how many ms     3 what the job is     4 ms that it is remembered
--       5 … fields to set, name and value of each
-- Reply {'ok', its fields}; {'held', ms that are left, by whom}: another run has it; nothing was written
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local found = redis.call('HMGET', KEYS[1], 'owner', 'until', 'what', 'format')
if (major_of(found[4]) or 2) > 1 then return {'newer', found[4]} end
if found[1] and found[1] ~= ARGV[1] and (tonumber(found[2]) or 0) > now then
  return {'held', tostring(found[2] - now), found[1]}
end
if found[3] ~= ARGV[3] then redis.call('UNLINK', KEYS[1]) end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', string.format('%.0f', now + ARGV[2]),
  'what', ARGV[3], unpack(ARGV, 5))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {'ok', redis.call('HGETALL', KEYS[1])}
