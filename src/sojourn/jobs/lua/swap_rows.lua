-- Replace rows of a log, if they and the log are as they were. Rows that were appended, or dropped
-- before them, do not matter; `chain` stays, which tells of appends only.
--
-- KEYS  1 session (hash)   2 events (list)
-- ARGV  1 incarnation      2 epoch, both as they were
--       3 number of the first row that was looked at      4 how many      5 digest of them
--       6 … for each row to replace: how many stand before it of those looked at, and the row
-- Reply 'ok'; 'changed': nothing was written
local head = redis.call('HMGET', KEYS[1], 'incarnation', 'epoch', 'dropped')
if head[1] ~= ARGV[1] or head[2] ~= ARGV[2] then return 'changed' end
local place = ARGV[3] - (tonumber(head[3]) or 0) - 1
if place < 0 then return 'changed' end
if digest_of(redis.call('LRANGE', KEYS[2], place, place + ARGV[4] - 1)) ~= ARGV[5] then
  return 'changed'
end
for i = 6, #ARGV, 2 do redis.call('LSET', KEYS[2], place + ARGV[i], ARGV[i + 1]) end
return 'ok'
