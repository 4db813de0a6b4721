-- Cut events off a log, at its end and at its front; state stays as they left it.
--
-- KEYS  1 session (hash)   2 events (list)   3 ops (zset: operation id → version)
--       4 ids (zset: event id → seq)           5 sessions (zset: session → updated)
--       6 sessions:expiry (zset: session → expires, ms)
--       7 notices (stream), where they are wanted
-- ARGV  1 operation id     2 incarnation or ''   3 expected version or ''   4 session id
--       5 how many to drop at the end      6 how many to keep of the rest or '' (all)
--       7 shared ttl, ms or '', for notices
-- Reply {'ok' | 'duplicate', version, min lifetime, last seq, updated, expires or '', labels as JSON or ''}
--       {'missing'} {'stale', version} {'corrupt'} {'newer', format}: nothing was written
local operation_id, expected_incarnation, expected_version, id, from_end, keep, shared_ttl =
  unpack(ARGV, 1, 7)
local session, events, ops, ids, by_update, by_expiry = unpack(KEYS)
local head = redis.call('HMGET', session,
  'incarnation', 'version', 'seq', 'dropped', 'ttl', 'epoch', 'format', 'until', 'labels',
  'updated', 'expires')
local incarnation, ttl, last, labels = head[1], head[5], head[8] or '', head[9] or ''
if not incarnation then return not_there(session) end
if expected_incarnation ~= '' and expected_incarnation ~= incarnation then return {'missing'} end
if not major_of(head[7]) or not (is_count(head[2]) and is_count(head[3]) and is_count(head[4])
    and is_count(head[6]) and is_lifetime(ttl) and is_lifetime(last)) then
  return {'corrupt'}
end
local version, seq, dropped, epoch =
  tonumber(head[2]), tonumber(head[3]), tonumber(head[4]), tonumber(head[6])
if dropped > seq then return {'corrupt'} end
local name = 't' .. operation_id
local done = redis.call('ZSCORE', ops, name)
if done then
  write_again(ops)
  return {'duplicate', done, min_lifetime(ttl, last), seq, head[10] or '', head[11] or '', labels}
end
if major_of(head[7]) > 1 then return {'newer', head[7]} end
if expected_version ~= '' and tonumber(expected_version) ~= version then return {'stale', version} end
redis.call('LLEN', events)
redis.call('ZCARD', ids)
redis.call('ZCARD', by_update)
redis.call('ZCARD', by_expiry)

local behind = math.min(tonumber(from_end), seq - dropped)
local front = 0
if keep ~= '' then front = math.max(0, seq - dropped - behind - tonumber(keep)) end
if behind > 0 then epoch = epoch + 1 end
seq, dropped, version = seq - behind, dropped + front, version + 1
if seq == dropped then
  redis.call('UNLINK', events)
else
  -- Counted from the end: of a log that has lost rows, those that are left are the newest.
  redis.call('LTRIM', events, dropped - seq - behind, -behind - 1)
end
redis.call('ZREMRANGEBYSCORE', ids, seq + 1, '+inf')
redis.call('ZREMRANGEBYSCORE', ids, 1, dropped)
local expires = expires_at(ttl, last)
local updated = seconds()
write_indexed(by_update, by_expiry, id, updated, expires)
redis.call('HSET', session, 'version', version, 'seq', seq, 'dropped', dropped, 'epoch', epoch,
  'updated', updated, 'expires', expires)
write_expiry({session, events, ids}, expires)
write_operation(ops, name, version, ttl)
write_index_lifetime(by_update, by_expiry, expires, write_mended)
write_labelled(by_update, by_expiry, id, expires, read_labels(labels) or {}, {})
if KEYS[7] then
  write_notices(KEYS[7], shared_ttl, {{'trimmed', id, version}}, {by_update, by_expiry})
end
return {'ok', version, min_lifetime(ttl, last), seq, updated, expires, labels}
