-- Write a session as it once was: its numbers, times and lifetime as they are given.
--
-- KEYS  1 session (hash)   2 events (list)      3 ops (zset)
--       4 ids (zset: event id → seq)            5 sessions (zset: session → updated)
--       6 sessions:expiry (zset: session → expires, ms)
--       7 operations of the user (zset: operation id → ms)
--       8 staged (list: the first rows of its log)            9 ids of these (zset)
--      10 notices (stream), where they are wanted
-- ARGV  1 incarnation      2 session id         3 'replace' (what is there) or ''
--       4 version          5 seq                6 dropped
--       7 created, s       8 updated, s         9 ttl, ms or '' (never)
--      10 until, ms or ''  11 expires, ms or '' 12 cap of a state, bytes
--      13 cap of a user's sessions or ''        14 how many rows are staged
--      15 number of fields, then the pairs (title, status, …); number of state pairs, then the
--         pairs; number of the rows behind those that are staged, then the rows; the shared ttl, ms
--         or '', for notices
-- Reply {'ok', labels that the one before had, as JSON or ''} {'duplicate'}
--       {'expired'} {'exists'} {'gone'} {'full', sessions} {'state', bytes} {'incomplete', staged}
--       {'newer', format}: nothing was written
local incarnation, id, replace, version, seq, dropped, created, updated, ttl, last, expires,
  state_cap, max_sessions, n_staged = unpack(ARGV, 1, 14)
local session, events, ops, ids, by_update, by_expiry, operations, staged, staged_ids, notices =
  unpack(KEYS)
local there = redis.call('EXISTS', session) == 1
if there and redis.call('TYPE', session).ok == 'hash'
    and redis.call('HGET', session, 'incarnation') == incarnation then
  write_again(session)
  return {'duplicate'}
end
local born = operation_name('save', id, incarnation) -- no incarnation comes again
if redis.call('ZSCORE', operations, born) then return {'gone'} end
if expires ~= '' and tonumber(expires) <= now then return {'expired'} end
if there and replace == '' then return {'exists'} end
local format = there and redis.call('TYPE', session).ok == 'hash' and redis.call('HGET', session, 'format')
if (major_of(format) or 1) > 1 then return {'newer', format} end

local first_field, n_fields = 16, tonumber(ARGV[15])
local at = first_field + 2 * n_fields
local first_pair, n_pairs = at + 1, tonumber(ARGV[at])
at = first_pair + 2 * n_pairs
local first_row, count = at + 1, tonumber(ARGV[at])
local bytes = state_size(first_pair, n_pairs)
if bytes > tonumber(state_cap) then return {'state', bytes} end
redis.call('ZCARD', by_update)
redis.call('ZCARD', by_expiry)
local waiting = redis.call('LLEN', staged)
if waiting ~= tonumber(n_staged) then return {'incomplete', waiting} end
local alive = not there and too_many_sessions(by_expiry, id, max_sessions)
if alive then return {'full', alive} end

-- The first write is one that a full server refuses, before anything is changed. In a list that is
-- read in pages nothing moves back.
if there then
  redis.call('ZADD', by_update, 'GT', updated, id)
else
  redis.call('ZADD', by_update, updated, id)
end
local former = there and redis.call('TYPE', session).ok == 'hash'
  and redis.call('HGET', session, 'labels') or ''
redis.call('UNLINK', session, events, ops, ids)
local dead = write_pruned(by_update, by_expiry)
if #dead > 0 then redis.call('ZADD', by_update, updated, id) end -- one may have had this id
if waiting > 0 then redis.call('RENAME', staged, events) end
if redis.call('EXISTS', staged_ids) == 1 then redis.call('RENAME', staged_ids, ids) end
local rows = {}
for i = first_row, first_row + count - 1 do rows[#rows + 1] = ARGV[i] end
for _, row in ipairs(rows) do redis.call('RPUSH', events, row) end
write_ids(ids, rows, tonumber(dropped) + waiting + 1)
if waiting > 0 and redis.call('ZCARD', ids) <= waiting + count then -- some cannot be read, or were evicted
  write_ids(ids, redis.call('LRANGE', events, 0, -1), tonumber(dropped) + 1)
end
redis.call('HSET', session,
  'format', '1', 'incarnation', incarnation, 'version', version, 'epoch', '0', 'seq', seq,
  'dropped', dropped, 'created', created, 'updated', updated, 'expires', expires, 'ttl', ttl,
  'until', last, 'bytes', bytes, unpack(ARGV, first_field, first_field + 2 * n_fields - 1))
if n_pairs > 0 then write_state(session, first_pair, n_pairs) end
redis.call('ZADD', by_expiry, expires == '' and '+inf' or expires, id)
write_expiry({session, events, ids}, expires)
write_index_lifetime(by_update, by_expiry, expires, write_mended)
write_labelled(by_update, by_expiry, id, expires,
  read_labels(given('labels', first_field, n_fields)) or {}, read_labels(former) or {})
write_user_operation(operations, born)
if notices then
  local change = {there and 'updated' or 'created', id, tonumber(version)}
  write_found(notices, ARGV[#ARGV], dead, change, {by_update, by_expiry})
end
return {'ok', former}
