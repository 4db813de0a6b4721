-- Store a value, once, and revoke the lease: what is computed now is older.
--
-- KEYS  1 entry (hash)   2 lease (string)   3 ops (zset: operation on an entry → when, µs)
-- ARGV  1 operation id   2 value   3 fresh, ms   4 stale after that, ms   5 tags, a line each
local clock = redis.call('TIME')
local stamp = clock[1] * 1000000 + clock[2]
local name = 'put ' .. KEYS[1] .. ' ' .. ARGV[1]
if redis.call('ZSCORE', KEYS[3], name) then return 'duplicate' end
redis.call('HSET', KEYS[1], 'value', ARGV[2], 'tags', ARGV[5],
  'since', string.format('%.0f', stamp), 'fresh', string.format('%.0f', stamp + ARGV[3] * 1000))
redis.call('PEXPIRE', KEYS[1], ARGV[3] + ARGV[4])
redis.call('UNLINK', KEYS[2])
redis.call('ZADD', KEYS[3], stamp, name)
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1001)
redis.call('PEXPIRE', KEYS[3], 86400000)
return 'ok'
