-- A part of a log, and where it stood then. A script: how many rows are so many bytes, only the
-- server knows.
--
-- KEYS  1 session (hash)   2 events (list)
-- ARGV  1 number of the first event wanted; below zero, so many from the end
--       2 how many at most   3 bytes after which none follow
-- Reply {}: there is no session   {'corrupt'}
--       {'ok', incarnation, log id or '', version, epoch, dropped, how many of these the log has
--       lost, seq, number of the first event that follows, events…}
local head = redis.call('HMGET', KEYS[1], 'incarnation', 'epoch', 'dropped', 'seq', 'log_id', 'version')
if not head[1] then return redis.call('EXISTS', KEYS[1]) == 1 and {'corrupt'} or {} end
for i = 2, 6 do
  if i ~= 5 and not is_count(head[i]) then return {'corrupt'} end
end
local seq = tonumber(head[4])
local lost = math.max(0, seq - tonumber(head[3]) - redis.call('LLEN', KEYS[2]))
local dropped = tonumber(head[3]) + lost -- for all who read it, the rows that are left are the newest
local wanted = tonumber(ARGV[1])
if wanted < 0 then wanted = seq + 1 + wanted end
local first = math.max(wanted, dropped + 1)
local reply =
  {'ok', head[1], head[5] or '', tonumber(head[6]), tonumber(head[2]), dropped, lost, seq, first}
local at, bytes = first - dropped - 1, 0
local left = math.min(tonumber(ARGV[2]), seq - first + 1)
while left > 0 and bytes < tonumber(ARGV[3]) do
  local rows = redis.call('LRANGE', KEYS[2], at, at + math.min(8, left) - 1)
  for _, row in ipairs(rows) do
    reply[#reply + 1] = row
    bytes = bytes + #row
  end
  at, left = at + #rows, left - #rows
end
return reply
