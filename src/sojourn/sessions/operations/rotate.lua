-- Give a session another id, once: under the old one there is none any more.
--
-- KEYS  1 session (hash)   2 events (list)   3 ops (zset)   4 ids (zset)
--       5, 6, 7, 8 the same under the new id
--       9 sessions (zset: session → updated)   10 sessions:expiry (zset: session → expires, ms)
--      11 operations of the user (zset: operation id → ms)
--      12 notices (stream), where they are wanted
-- ARGV  1 operation id     2 incarnation or ''  3 old id   4 new id   5 new incarnation
--       6 shared ttl, ms or '', for notices
-- Reply {'ok', new id, new incarnation, its place in the index, expires or '', labels as JSON or ''}
--       {'duplicate', new id, new incarnation}
--       {'missing'} {'exists'} {'corrupt'}: nothing was written
local operation_id, expected_incarnation, old, new, new_incarnation, shared_ttl = unpack(ARGV, 1, 6)
local session, by_update, by_expiry, operations = KEYS[1], KEYS[9], KEYS[10], KEYS[11]
local what = #old .. ':' .. old .. ':' .. #operation_id .. ':' .. operation_id
local name, led_to = 'rotate:' .. what, 'rotated:' .. what .. ':'
local done = redis.call('ZSCORE', operations, name)
if done then -- what it led to has the same score
  write_again(operations)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', operations, done, done)) do
    if string.sub(member, 1, #led_to) == led_to then
      local size, rest = string.match(string.sub(member, #led_to + 1), '^(%d+):(.*)$')
      return {'duplicate', string.sub(rest, 1, size), string.sub(rest, size + 2)}
    end
  end
  return {'missing'}
end
local head = redis.call('HMGET', session,
  'incarnation', 'version', 'updated', 'expires', 'format', 'labels')
local incarnation, version, updated, expires, labels = head[1], head[2], head[3], head[4], head[6] or ''
if not incarnation then return not_there(session) end
if expected_incarnation ~= '' and expected_incarnation ~= incarnation then return {'missing'} end
if not major_of(head[5]) or not (is_count(version) and is_time(updated) and is_lifetime(expires)) then
  return {'corrupt'}
end
if redis.call('EXISTS', KEYS[5]) == 1 then return {'exists'} end
redis.call('LLEN', KEYS[2])
for _, i in ipairs({3, 4, 9, 10, 11}) do redis.call('ZCARD', KEYS[i]) end

-- The first write is one that a full server refuses, before anything is changed. Entries of the
-- index only ever move forward, so that no page misses one.
local place = redis.call('ZSCORE', by_update, old) or updated
redis.call('ZADD', by_update, place, new)
redis.call('ZADD', by_update, 'GT', seconds(), new)
redis.call('HSET', session, 'incarnation', new_incarnation)
for i = 1, 4 do -- with what lifetime they have
  if redis.call('EXISTS', KEYS[i]) == 1 then
    redis.call('RENAME', KEYS[i], KEYS[i + 4])
  else
    redis.call('UNLINK', KEYS[i + 4])
  end
end
redis.call('ZADD', by_expiry, expires == '' and '+inf' or expires, new)
redis.call('ZREM', by_update, old)
redis.call('ZREM', by_expiry, old)
write_index_lifetime(by_update, by_expiry, expires, write_mended)
local words = read_labels(labels) or {}
write_labelled(by_update, by_expiry, old, now, {}, words)
write_labelled(by_update, by_expiry, new, expires, words, {})
write_user_operation(operations, name, led_to .. #new .. ':' .. new .. ':' .. new_incarnation)
write_user_operation(operations, 'rotated-from:' .. #old .. ':' .. old .. ':' .. incarnation)
if KEYS[12] then
  local changes = {{'deleted', old, version}, {'created', new, version}}
  write_notices(KEYS[12], shared_ttl, changes, {by_update, by_expiry})
end
return {'ok', new, new_incarnation, redis.call('ZSCORE', by_update, new), expires, labels}
