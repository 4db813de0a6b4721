-- Store a value, once, and revoke the lease: what is computed now is older.
--
-- KEYS  1 entry   2 lease   3 tags   4 ops, as shared.lua says
-- ARGV  1 operation id   2 value   3 fresh, ms   4 stale after that, ms   5 tags, a line each
-- Reply {'ok'} {'duplicate'} {'newer', its format or '', a value or ''}: nothing was stored
local operation_id, value, fresh, stale, tags = unpack(ARGV, 1, 5)
local name = 'put ' .. KEYS[1] .. ' ' .. operation_id
if redis.call('ZSCORE', KEYS[4], name) then
  write_again(KEYS[4])
  return {'duplicate'}
end
local refused = refused_at(KEYS[1], value)
if refused then return refused end
local since = stamp
if tags ~= '' then
  since = latest(KEYS[3])
  write_latest(KEYS[3], since, fresh + stale)
end
write_entry(KEYS[1], value, fresh, stale, tags, whole(since))
redis.call('UNLINK', KEYS[2])
write_operation(KEYS[4], name)
return {'ok'}
