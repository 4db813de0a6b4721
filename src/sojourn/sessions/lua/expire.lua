-- Set when a session expires, which is no change of it: its version and times stay.
--
-- KEYS  1 session (hash)   2 events (list)      3 ids (zset)
--       4 sessions (zset: session → updated)    5 sessions:expiry (zset: session → expires, ms)
-- ARGV  1 incarnation      2 expected version   3 session id
--       4 ttl, ms or '' (never)                 5 expires, ms or ''
-- Reply {'ok', updated, expires or '', labels as JSON or ''}
--       {'missing'} {'stale', version} {'corrupt'}: nothing was written
local expected_incarnation, expected_version, id, ttl, expires = unpack(ARGV, 1, 5)
local head = redis.call('HMGET', KEYS[1], 'incarnation', 'version', 'until', 'format', 'updated', 'labels')
if not head[1] then return {redis.call('EXISTS', KEYS[1]) == 1 and 'corrupt' or 'missing'} end
if expected_incarnation ~= head[1] then return {'missing'} end
if not major_of(head[4]) or not (is_count(head[2]) and is_span(head[3] or '')) then return {'corrupt'} end
if tonumber(expected_version) ~= tonumber(head[2]) then return {'stale', tonumber(head[2])} end
redis.call('LLEN', KEYS[2])
redis.call('ZCARD', KEYS[3])
redis.call('ZCARD', KEYS[4])
redis.call('ZCARD', KEYS[5])

local last = head[3] or ''
if last ~= '' and (expires == '' or tonumber(expires) > tonumber(last)) then expires = last end
redis.call('ZADD', KEYS[5], expires == '' and '+inf' or expires, id)
redis.call('HSET', KEYS[1], 'ttl', ttl, 'expires', expires)
write_expiry({KEYS[1], KEYS[2], KEYS[3]}, expires)
write_index_lifetime(KEYS[4], KEYS[5], expires, write_mended)
write_labelled(KEYS[4], KEYS[5], id, expires, read_labels(head[6]) or {}, {})
return {'ok', head[5] or '', expires, head[6] or ''}
