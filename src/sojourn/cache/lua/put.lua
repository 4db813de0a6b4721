-- Store a value, once, and revoke the lease: what is computed now is older.
--
-- KEYS  1 entry (hash)   2 lease (string)   3 ops (zset: operation on an entry → when, µs)
--       4 tags (zset: tag → last invalidated, µs)
-- ARGV  1 operation id   2 value   3 fresh, ms   4 stale after that, ms   5 tags, a line each
-- Reply {'ok'} {'duplicate'} {'newer', its format or '', a value or ''}: nothing was stored
local name = 'put ' .. KEYS[1] .. ' ' .. ARGV[1]
if redis.call('ZSCORE', KEYS[3], name) then
  write_again(KEYS[3])
  return {'duplicate'}
end
local newer = newer_at(KEYS[1])
if newer then return newer end
local since = stamp
if ARGV[5] ~= '' then
  since = latest(KEYS[4])
  write_latest(KEYS[4], since, ARGV[3] + ARGV[4])
end
write_entry(KEYS[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], whole(since))
redis.call('UNLINK', KEYS[2])
write_operation(KEYS[3], name)
return {'ok'}
