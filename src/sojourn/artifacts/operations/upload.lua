-- Keep one chunk of a version that nobody sees yet. What comes of it no more is gone with its TTL.
--
-- KEYS  1 data (hash: number → chunk)   2 saved (string: version)
-- ARGV  1 number   2 chunk   3 ttl of the upload, ms
-- Reply the version, if this save has been done before; else false
local done = redis.call('GET', KEYS[2]) or redis.call('HGET', KEYS[1], 'version')
if done then
  write_again(KEYS[1])
  write_again(KEYS[2])
  return done
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return false
