-- Set when a session expires, which is no change of it: its version and times stay.
--
-- KEYS  1 session (hash)   2 events (list)      3 ids (zset)
--       4 sessions (zset: session → updated)    5 sessions:expiry (zset: session → expires, ms)
-- ARGV  1 incarnation      2 expected version   3 session id
--       4 ttl, ms or '' (never)                 5 expires, ms or ''
-- Reply {'ok', updated, expires or '', labels as JSON or ''}
--       {'missing'} {'stale', version} {'corrupt'}: nothing was written
local session, events, ids, by_update, by_expiry = unpack(KEYS)
local expected_incarnation, expected_version, id, ttl, expires = unpack(ARGV, 1, 5)
local head = redis.call('HMGET', session, 'incarnation', 'version', 'until', 'format', 'updated', 'labels')
if not head[1] then return not_there(session) end
if expected_incarnation ~= head[1] then return {'missing'} end
if not major_of(head[4]) or not (is_count(head[2]) and is_lifetime(head[3] or '')) then return {'corrupt'} end
if tonumber(expected_version) ~= tonumber(head[2]) then return {'stale', tonumber(head[2])} end
redis.call('LLEN', events)
redis.call('ZCARD', ids)
redis.call('ZCARD', by_update)
redis.call('ZCARD', by_expiry)

local last = head[3] or ''
if last ~= '' and (expires == '' or tonumber(expires) > tonumber(last)) then expires = last end
redis.call('ZADD', by_expiry, expires == '' and '+inf' or expires, id)
redis.call('HSET', session, 'ttl', ttl, 'expires', expires)
write_expiry({session, events, ids}, expires)
write_index_lifetime(by_update, by_expiry, expires, write_mended)
write_labelled(by_update, by_expiry, id, expires, read_labels(head[6]) or {}, {})
return {'ok', head[5] or '', expires, head[6] or ''}
