-- Create a session, once, with its first state.
--
-- KEYS  1 session (hash)   2 events (list)      3 ops (zset)
--       4 ids (zset)                            5 sessions (zset: session → updated)
--       6 sessions:expiry (zset: session → expires, ms)
--       7 state of the user (hash)              8 outbox (hash: operation id → app delta)
--       9 operations of the user (zset: operation id → ms)
--      10 tombstones of the slot (hash), for one that has waited in an outage buffer
--      10 or 11 notices (stream), where they are wanted
-- ARGV  1 operation id, which becomes the incarnation       2 session id
--       3 created, s, or '' (the server's)      4 ttl of the session, ms or '' (never)
--       5 shared ttl, ms or ''                  6 cap of a state, bytes
--       7 app delta as JSON or ''               8 age that it reaches at most, ms or ''
--       9 when it expires at the latest, ms or ''             10 cap of a user's sessions or ''
--      11 since when it has waited, ms by the clock of this server, or ''
--      12 names of its tombstones, or ''
--      13 number of fields, then the pairs (title, status, …); number of session pairs, then the
--         pairs; number of user pairs, then the pairs
-- Reply {'ok' | 'duplicate', created, expires or '', stamp, entries left in the outbox,
--         until or '', 1 if the user had no session}
--       {'erased', 'revoked' | 'forgotten'} {'past', ms} {'exists'} {'gone'} {'full', sessions} {'state' | 'user state', bytes} {'corrupt'}:
--       nothing was written
local operation_id, id, created, ttl, shared_ttl, state_cap, app_delta, max_age, last,
  max_sessions, waited, names = unpack(ARGV, 1, 12)
local session, operations, notices = KEYS[1], KEYS[9], KEYS[waited == '' and 10 or 11]
local by_update, by_expiry, user, outbox = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
if waited ~= '' then
  local revoked, forgotten = find_tombstones(KEYS[10], names)
  if forgotten >= tonumber(waited) then return {'erased', 'forgotten'} end
  if revoked >= tonumber(waited) then return {'erased', 'revoked'} end
end
local incarnation = redis.call('HGET', session, 'incarnation')
local ours = incarnation == operation_id
if incarnation and not ours then return {'exists'} end
if ours then
  local head = redis.call('HMGET', session, 'created', 'expires', 'until')
  if not (is_time(head[1]) and is_lifetime(head[2]) and is_lifetime(head[3] or '')) then return {'corrupt'} end
  write_again(session)
  return {'duplicate', head[1], head[2], stamp, redis.call('HLEN', outbox), head[3] or '', 0}
end
if redis.call('EXISTS', session) == 1 then return {'corrupt'} end
local name = operation_name('create', id, operation_id)
for _, made in ipairs({name, operation_name('save', id, operation_id)}) do -- no incarnation comes again
  if redis.call('ZSCORE', operations, made) then return {'gone'} end
end

-- One that has waited was acknowledged: what it leaves for others is written all the same.
if waited == '' and last ~= '' and tonumber(last) <= now then
  return {'past', now - last}
end

local first_field, n_fields = 14, tonumber(ARGV[13])
local at = first_field + 2 * n_fields
local session_pairs, n_session = at + 1, tonumber(ARGV[at])
at = session_pairs + 2 * n_session
local user_pairs, n_user = at + 1, tonumber(ARGV[at])
local cap = tonumber(state_cap)
local bytes = state_size(session_pairs, n_session)
if bytes > cap then return {'state', bytes} end
local user_bytes, user_left, user_sizes
if n_user > 0 then
  user_left = redis.call('PTTL', user)
  user_bytes = state_bytes(user, redis.call('HGET', user, 'bytes'))
  user_sizes = encoded_sizes(user, user_pairs, n_user)
  local added
  user_bytes, added = measured(user, user_bytes, user_pairs, n_user, user_sizes)
  if user_bytes > cap then return {'user state', user_bytes} end
  local keys = too_many_keys(user, added)
  if keys then return {'user state', keys, 'keys'} end
  local sealed = sealed_value(user, user_pairs, n_user, user_sizes)
  if sealed then return {'sealed', sealed} end
end
redis.call('LLEN', KEYS[2])
redis.call('ZCARD', KEYS[3])
local first = redis.call('ZCARD', by_update) == 0 and 1 or 0
redis.call('ZCARD', by_expiry)
if max_sessions ~= '' then
  if redis.call('ZCARD', by_update) ~= redis.call('ZCARD', by_expiry) then
    write_mended(by_update, by_expiry)
  end
end
local alive = too_many_sessions(by_expiry, id, max_sessions)
if alive then return {'full', alive} end
local pending = redis.call('HLEN', outbox)

if created == '' then created = seconds() end
if max_age ~= '' and (last == '' or now + max_age < tonumber(last)) then last = now + max_age end
local expires = expires_at(ttl, last)
-- The first write is one that a full server refuses, before anything is changed.
redis.call('ZADD', by_update, created, id)
-- What an evicted or expired session of this id may have left behind is not part of this one.
redis.call('UNLINK', session, KEYS[2], KEYS[3], KEYS[4])
local dead = write_pruned(by_update, by_expiry)
if #dead > 0 then redis.call('ZADD', by_update, created, id) end -- one may have had this id

redis.call('HSET', session,
  'format', '1', 'incarnation', operation_id, 'version', '1', 'epoch', '0', 'seq', '0', 'dropped', '0',
  'created', created, 'updated', created, 'expires', expires, 'ttl', ttl, 'until', last,
  'bytes', bytes, unpack(ARGV, first_field, first_field + 2 * n_fields - 1))
if n_session > 0 then write_state(session, session_pairs, n_session) end
redis.call('ZADD', by_expiry, expires == '' and '+inf' or expires, id)
write_expiry({session}, expires)
write_index_lifetime(by_update, by_expiry, expires, write_mended)
write_labelled(by_update, by_expiry, id, expires,
  read_labels(given('labels', first_field, n_fields)) or {}, {})

write_user_operation(operations, name)

if n_user > 0 then
  redis.call('HSET', user, 'bytes', user_bytes)
  write_state(user, user_pairs, n_user, user_sizes)
  write_lifetime(user, user_left, shared_ttl)
end
if app_delta ~= '' then
  write_outbox(outbox, operation_id, app_delta, shared_ttl)
end
if notices then
  local change = {'created', id, 1}
  write_found(notices, shared_ttl, dead, change, {by_update, by_expiry})
end
return {'ok', created, expires, stamp, pending, last, first}
