-- Delete an entry and revoke the lease on it, once.
--
-- KEYS  1 entry (hash)   2 lease (string)   3 ops (zset: operation on an entry → when, µs)
-- ARGV  1 operation id
-- Reply 1 if there was an entry
local clock = redis.call('TIME')
local stamp = clock[1] * 1000000 + clock[2]
local names = {[0] = 'missed ' .. KEYS[1] .. ' ' .. ARGV[1], 'deleted ' .. KEYS[1] .. ' ' .. ARGV[1]}
for found = 0, 1 do
  if redis.call('ZSCORE', KEYS[3], names[found]) then return found end
end
local found = redis.call('UNLINK', KEYS[1])
redis.call('UNLINK', KEYS[2])
redis.call('ZADD', KEYS[3], stamp, names[found])
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1001)
redis.call('PEXPIRE', KEYS[3], 86400000)
return found
