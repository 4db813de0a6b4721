-- Write a session as a whole, once: in place of what is there, or as a new one.
--
-- KEYS  1 session (hash)   2 events (list)      3 ops (zset: operation id → version)
--       4 ids (zset: event id → seq)            5 sessions (zset: session → updated)
--       6 sessions:expiry (zset: session → expires, ms)
--       7 operations of the user (zset: operation id → ms)
--       8 notices (stream), where they are wanted
-- ARGV  1 operation id     2 incarnation or ''  3 expected version or '', 0 for none
--       4 session id       5 ttl: ms, '' (never) or 'keep'      6 until: ms, '' (never) or 'keep'
--       7 ttl of a new one, ms or '', or 'none' for no new one     8 cap of a state, bytes
--       9 cap of the log, events or ''         10 cap of a user's sessions or ''
--      11 number of fields, then the pairs (title, status, …); number of state pairs, then the
--         pairs; number of events, then the events; the shared ttl, ms or '', for notices
-- Reply {'ok' | 'duplicate', version, min lifetime, last seq, 1 if the user had no session, updated,
--         expires or '', labels as JSON or '', those before}
--       {'missing'} {'gone'} {'stale', version} {'full', sessions} {'state', bytes} {'corrupt'}
--       {'newer', format} {'sealed', a value that is}: nothing was written
local operation_id, expected_incarnation, expected_version, id, new_ttl, new_until, first_ttl,
  state_cap, max_events, max_sessions = unpack(ARGV, 1, 10)
local session, events, ops, ids, by_update, by_expiry, operations, notices = unpack(KEYS)
local head = redis.call('HMGET', session,
  'incarnation', 'version', 'epoch', 'ttl', 'until', 'seq', 'created', 'format', 'log_id',
  'labels', 'updated', 'expires', 'status')
local incarnation, former = head[1], head[10] or ''
local version, epoch, created = 0, 0, seconds()
local updated, ttl, last = created, first_ttl, ''
local name, born = 's' .. operation_id, operation_name('save', id, operation_id)
if incarnation then
  if expected_incarnation ~= '' and expected_incarnation ~= incarnation then return {'missing'} end
  if not major_of(head[8]) or not (is_count(head[2]) and is_count(head[3]) and is_lifetime(head[4])
      and is_lifetime(head[5] or '') and is_count(head[6]) and is_time(head[7])) then
    return {'corrupt'}
  end
  version, epoch, ttl, last, created = tonumber(head[2]), head[3] + 1, head[4], head[5] or '', head[7]
  local done = redis.call('ZSCORE', ops, name)
  if done then
    write_again(ops)
    return {'duplicate', done, min_lifetime(ttl, last), tonumber(head[6]), 0,
      head[11] or '', head[12] or '', former, former}
  end
  if major_of(head[8]) > 1 then return {'newer', head[8]} end
elseif redis.call('EXISTS', session) == 1 then
  return {'corrupt'}
elseif expected_incarnation ~= '' or first_ttl == 'none' then
  return {'missing'}
end
-- Done to one that is gone since: neither revive it nor overwrite its successor.
local made = operation_name('create', id, operation_id) -- no incarnation comes again
if redis.call('ZSCORE', operations, born)
    or not incarnation and redis.call('ZSCORE', operations, made) then
  return {'gone'}
end
if expected_version ~= '' and tonumber(expected_version) ~= version then
  return incarnation and {'stale', version} or {'missing'}
end
if new_ttl ~= 'keep' then ttl = new_ttl end
if new_until ~= 'keep' then last = new_until end

local first_field, n_fields = 12, tonumber(ARGV[11])
local at = first_field + 2 * n_fields
local first_pair, n_pairs = at + 1, tonumber(ARGV[at])
at = first_pair + 2 * n_pairs
local first_event, count = at + 1, tonumber(ARGV[at])
local bytes = state_size(first_pair, n_pairs)
-- What is sealed stays sealed: the status of a session says whether it is.
local status = given('status', first_field, n_fields)
if status and is_sealed(head[13]) and not is_sealed(status) then return {'sealed', head[13]} end
if bytes > tonumber(state_cap) then return {'state', bytes} end
redis.call('LLEN', events)
for i = 3, 7 do redis.call('ZCARD', KEYS[i]) end
local first = redis.call('ZCARD', by_update) == 0 and 1 or 0
local alive = not incarnation and too_many_sessions(by_expiry, id, max_sessions)
if alive then return {'full', alive} end

version = version + 1
local dropped = max_events == '' and 0 or math.max(0, count - tonumber(max_events))
local expires = expires_at(ttl, last)
-- The first write is one that a full server refuses, before anything is changed.
redis.call('ZADD', by_update, 'GT', updated, id)
redis.call('UNLINK', events, ids)
write_no_state(session)
redis.call('HDEL', session, 'labels')
local dead = {}
if not incarnation then
  redis.call('UNLINK', ops)
  dead = write_pruned(by_update, by_expiry)
  if #dead > 0 then redis.call('ZADD', by_update, updated, id) end -- one may have had this id
end
redis.call('HSET', session,
  'format', head[8] or '1', 'incarnation', incarnation or operation_id, 'version', version, 'epoch', epoch,
  'seq', count, 'dropped', dropped, 'created', created, 'updated', updated, 'expires', expires,
  'ttl', ttl, 'until', last, 'bytes', bytes, unpack(ARGV, first_field, first_field + 2 * n_fields - 1))
-- An incarnation keeps the id of its log, or has none: content may be bound to it.
if head[9] then
  redis.call('HSET', session, 'log_id', head[9])
elseif incarnation then
  redis.call('HDEL', session, 'log_id')
end
if n_pairs > 0 then write_state(session, first_pair, n_pairs) end
local rows = {}
for i = first_event + dropped, first_event + count - 1 do rows[#rows + 1] = ARGV[i] end
for _, row in ipairs(rows) do redis.call('RPUSH', events, row) end
write_ids(ids, rows, dropped + 1)
redis.call('ZADD', by_expiry, expires == '' and '+inf' or expires, id)
write_expiry({session, events, ids}, expires)
write_operation(ops, name, version, ttl)
write_index_lifetime(by_update, by_expiry, expires, write_mended)
local labels = given('labels', first_field, n_fields) or ''
write_labelled(by_update, by_expiry, id, expires, read_labels(labels) or {},
  read_labels(former) or {})
write_user_operation(operations, born)
if notices then
  local change = {incarnation and 'updated' or 'created', id, version}
  write_found(notices, ARGV[#ARGV], dead, change, {by_update, by_expiry})
end
return {'ok', version, min_lifetime(ttl, last), count, first, updated, expires, labels, former}
