-- Delete an entry, once. One that cannot be read, or that a newer version wrote, is deleted, too.
--
-- KEYS  1 head   2 names   3 expiry   4 changes   5 deleted   6 ops   7 entry
-- ARGV  1 operation   2 id for a new scope   3 expected version or ''
--       4 tenant: '' for any, or '=' and whose it must be to be there   5 key
-- Reply {'ok', 1 if there was an entry} {'stale', version} {'corrupt', key}
local operation_id, scope_id, expected_version, whose, key = unpack(ARGV, 1, 5)
local operation, seq = operation_on(operation_id), (last_change())
if not seq then return {'corrupt', KEYS[1]} end
for _, found in ipairs({0, 1}) do
  if redis.call('ZSCORE', KEYS[6], operation .. ' ' .. found) then
    write_again(KEYS[6])
    return {'ok', found}
  end
end
local version, tenant = unpack(redis.call('HMGET', KEYS[7], 'version', 'tenant'))
local found = redis.call('EXISTS', KEYS[7])
if whose ~= '' and whose ~= '=' .. (tenant or '') then found = 0 end
if found == 1 and expected_version ~= '' and version ~= expected_version then
  return {'stale', is_count(version) and version or 0}
end
if found == 1 then
  seq = seq + 1
  write_deleted(KEYS[7], key, seq)
end
write_change(seq, scope_id, operation .. ' ' .. found)
return {'ok', found}
