-- Keep rows of a log that nobody sees yet: those that are not there. What becomes of no session is
-- gone with its TTL.
--
-- KEYS  1 staged (list)   2 ids of their events (zset: event id → seq)
-- ARGV  1 how many stand before these   2 ttl, ms   3 seq before the first of all   4… rows
-- Reply how many are there now
local there, before = redis.call('LLEN', KEYS[1]), tonumber(ARGV[1])
if there >= before then
  local rows = {}
  for i = 4 + there - before, #ARGV do rows[#rows + 1] = ARGV[i] end
  if #rows > 0 then write_ids(KEYS[2], rows, ARGV[3] + there + 1) end
  for _, row in ipairs(rows) do there = redis.call('RPUSH', KEYS[1], row) end
  for i = 1, 2 do redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
end
return there
