-- Cut events off a log, at its end and at its front; state stays as they left it.
--
-- KEYS  1 session (hash)   2 events (list)   3 ops (zset: operation id → version)
--       4 sessions (zset: session → updated)   5 sessions:expiry (zset: session → expires, ms)
--       6 notices (stream), where they are wanted
-- ARGV  1 operation id     2 incarnation or ''   3 expected version or ''   4 session id
--       5 how many to drop at the end      6 how many to keep of the rest or '' (all)
--       7 shared ttl, ms or '', for notices
-- Reply {'ok' | 'duplicate', version, span, last seq}   {'missing'} {'stale', version} {'corrupt'}
local session, events, ops = KEYS[1], KEYS[2], KEYS[3]
local head = redis.call('HMGET', session,
  'incarnation', 'version', 'seq', 'dropped', 'ttl', 'epoch', 'format', 'until')
local incarnation, ttl, last = head[1], head[5], head[8]
if not incarnation then return {redis.call('EXISTS', session) == 1 and 'corrupt' or 'missing'} end
if ARGV[2] ~= '' and ARGV[2] ~= incarnation then return {'missing'} end
if head[7] ~= '1' or not (is_count(head[2]) and is_count(head[3]) and is_count(head[4])
    and is_count(head[6]) and is_span(ttl) and is_span(last)) then
  return {'corrupt'}
end
local version, seq, dropped, epoch =
  tonumber(head[2]), tonumber(head[3]), tonumber(head[4]), tonumber(head[6])
if dropped > seq then return {'corrupt'} end
local name = 't' .. ARGV[1]
local done = redis.call('ZSCORE', ops, name)
if done then return {'duplicate', done, span(ttl, last), seq} end
if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= version then return {'stale', version} end
redis.call('LLEN', events)
redis.call('ZCARD', KEYS[4])
redis.call('ZCARD', KEYS[5])

local behind = math.min(tonumber(ARGV[5]), seq - dropped)
local front = 0
if ARGV[6] ~= '' then front = math.max(0, seq - dropped - behind - tonumber(ARGV[6])) end
if behind > 0 then epoch = epoch + 1 end
seq, dropped, version = seq - behind, dropped + front, version + 1
if seq == dropped then
  redis.call('UNLINK', events)
else
  -- Counted from the end: of a log that has lost rows, those that are left are the newest.
  redis.call('LTRIM', events, dropped - seq - behind, -behind - 1)
end
local expires = later(ttl, last)
local updated = string.format('%.6f', clock[1] + clock[2] / 1000000)
redis.call('ZADD', KEYS[4], 'GT', updated, ARGV[4])
redis.call('ZADD', KEYS[5], expires == '' and '+inf' or expires, ARGV[4])
redis.call('HSET', session, 'version', version, 'seq', seq, 'dropped', dropped, 'epoch', epoch,
  'updated', updated, 'expires', expires)
write_expiry({session, events}, expires)
write_operation(ops, name, version, ttl)
write_index_lifetime(KEYS[4], KEYS[5], expires)
if KEYS[6] then
  write_notices(KEYS[6], ARGV[7], {{'trimmed', ARGV[4], version}}, {KEYS[4], KEYS[5]})
end
return {'ok', version, span(ttl, last), seq}
