-- Make the entries of a tag that were stored until now count as missing.
--
-- KEYS  1 tags (zset: tag → last invalidated, µs)   ARGV  1 tag   2 the longest life, ms
local at = latest(KEYS[1])
write_begun(KEYS[1], at)
redis.call('ZADD', KEYS[1], whole(at), ARGV[1], whole(at), '')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', stamp - ARGV[2] * 1000)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
