-- Delete a session, once: a repeated delete does not touch a session created since.
--
-- KEYS  1 session (hash)   2 events (list)   3 ops (zset)   4 ids (zset)
--       5 sessions (zset: session → updated)   6 sessions:expiry (zset: session → expires, ms)
--       7 operations of the user (zset: operation id → ms)
--       8 notices (stream), where they are wanted
-- ARGV  1 operation id     2 incarnation or ''   3 session id   4 shared ttl, ms or '', for notices
-- Reply {'ok', labels that it had, as JSON or ''} {'duplicate'} {'missing'}
local operation_id, expected_incarnation, id, shared_ttl = unpack(ARGV, 1, 4)
local by_update, by_expiry, operations = KEYS[5], KEYS[6], KEYS[7]
local deleted = operation_name('delete', id, operation_id)
local missed = operation_name('missed', id, operation_id)
for name, reply in pairs({[deleted] = 'duplicate', [missed] = 'missing'}) do
  if redis.call('ZSCORE', operations, name) then
    write_again(operations)
    return {reply}
  end
end
local incarnation, version, labels =
  unpack(redis.call('HMGET', KEYS[1], 'incarnation', 'version', 'labels'))
local exists = incarnation or redis.call('EXISTS', KEYS[1]) == 1 -- one that cannot be read goes, too
redis.call('LLEN', KEYS[2])
for i = 3, 6 do redis.call('ZCARD', KEYS[i]) end

local found = exists and (expected_incarnation == '' or expected_incarnation == incarnation)
if found or not exists then -- first what frees memory: then a full server lets the rest pass
  redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
  redis.call('ZREM', by_update, id)
  redis.call('ZREM', by_expiry, id)
  write_index_lifetime(by_update, by_expiry, now, write_mended) -- it may have been the last that never expires
  write_labelled(by_update, by_expiry, id, now, {}, read_labels(labels) or {})
end
write_user_operation(operations, found and deleted or missed)
if found and KEYS[8] then
  write_notices(KEYS[8], shared_ttl, {{'deleted', id, is_count(version) and version or 0}},
    {by_update, by_expiry})
end
return {found and 'ok' or 'missing', labels or ''}
