-- Give back a lease with the value that was computed since, or without one.
--
-- KEYS  1 entry (hash)   2 lease (string)
-- ARGV  1 token          2 when the lease was taken, µs
--       and when there is a value: 3 value   4 fresh, ms   5 stale after that, ms   6 tags, a line each
-- Reply 1 if the lease was still held
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('UNLINK', KEYS[2])
if ARGV[3] then
  local clock = redis.call('TIME')
  local stamp = clock[1] * 1000000 + clock[2]
  redis.call('HSET', KEYS[1], 'value', ARGV[3], 'tags', ARGV[6], 'since', ARGV[2],
    'fresh', string.format('%.0f', stamp + ARGV[4] * 1000))
  redis.call('PEXPIRE', KEYS[1], ARGV[4] + ARGV[5])
end
return 1
