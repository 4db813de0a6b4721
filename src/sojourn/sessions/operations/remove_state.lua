-- Remove values of a session's own state.
--
-- KEYS  1 session (hash)   2 events (list)   3 ops (zset: operation id → version)
--       4 ids (zset)                           5 sessions (zset: session → updated)
--       6 sessions:expiry (zset: session → expires, ms)
--       7 notices (stream), where they are wanted
-- ARGV  1 operation id     2 incarnation or ''   3 expected version or ''   4 session id
--       5 how many names, then the names; the shared ttl, ms or '', for notices
-- Reply {'ok' | 'duplicate', version, min lifetime, last seq, updated, expires or '', labels as JSON or ''}
--       {'missing'} {'stale', version} {'corrupt'} {'newer', format}: nothing was written
local session, events, ops, ids, by_update, by_expiry, notices = unpack(KEYS)
local operation, wanted, expected, id, count = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local incarnation, version, seq, ttl, format, last, labels, updated, expires, bytes =
  unpack(redis.call('HMGET', session, 'incarnation', 'version', 'seq', 'ttl', 'format', 'until',
    'labels', 'updated', 'expires', 'bytes'))
last, labels = last or '', labels or ''
if not incarnation then return not_there(session) end
if wanted ~= '' and wanted ~= incarnation then return {'missing'} end
if not major_of(format) or not (is_count(version) and is_count(seq) and is_lifetime(ttl)
    and is_lifetime(last)) then
  return {'corrupt'}
end
local name = 'r' .. operation
local done = redis.call('ZSCORE', ops, name)
if done then
  write_again(ops)
  return {'duplicate', done, min_lifetime(ttl, last), tonumber(seq), updated or '', expires or '', labels}
end
if major_of(format) > 1 then return {'newer', format} end
version = tonumber(version)
if expected ~= '' and tonumber(expected) ~= version then return {'stale', version} end
redis.call('LLEN', events)
redis.call('ZCARD', ids)
redis.call('ZCARD', by_update)
redis.call('ZCARD', by_expiry)

local left, version = state_bytes(session, bytes), version + 1
for _, key in ipairs(arguments(6, count)) do
  local value = redis.call('HGET', session, 'state:' .. key)
  if value then
    left = left - #key - (tonumber(redis.call('HGET', session, 'size:' .. key) or '') or #value)
  end
end
expires = expires_at(ttl, last)
updated = seconds()
write_indexed(by_update, by_expiry, id, updated, expires)
redis.call('HSET', session, 'version', version, 'updated', updated, 'expires', expires,
  'bytes', math.max(0, left))
for _, key in ipairs(arguments(6, count)) do
  redis.call('HDEL', session, 'state:' .. key, 'size:' .. key)
end
write_expiry({session, events, ids}, expires)
write_operation(ops, name, version, ttl)
write_index_lifetime(by_update, by_expiry, expires, write_mended)
write_labelled(by_update, by_expiry, id, expires, read_labels(labels) or {}, {})
if notices then
  write_notices(notices, ARGV[6 + count], {{'updated', id, version}}, {by_update, by_expiry})
end
return {'ok', version, min_lifetime(ttl, last), tonumber(seq), updated, expires, labels}
