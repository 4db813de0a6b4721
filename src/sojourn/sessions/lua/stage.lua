-- Keep rows of a log that nobody sees yet: those that are not there. What becomes of no session is
-- gone with its TTL.
--
-- KEYS  1 staged (list)
-- ARGV  1 how many stand before these   2 ttl, ms   3… rows
-- Reply how many are there now
local there, before = redis.call('LLEN', KEYS[1]), tonumber(ARGV[1])
if there >= before then
  for i = 3 + there - before, #ARGV do there = redis.call('RPUSH', KEYS[1], ARGV[i]) end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return there
