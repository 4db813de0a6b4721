-- Open a connection, if there is none of this name.
--
-- KEYS  1 connection (hash)   ARGV  1 ttl, ms
-- Reply 1
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'format', 1, 'seq', 0, 'dropped', 0, 'bytes', 0)
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
