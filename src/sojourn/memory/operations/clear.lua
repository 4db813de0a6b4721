-- Delete the entries of a scope that have not changed since some change, once.
--
-- KEYS  1 head   2 names   3 expiry   4 changes   5 deleted   6 ops   7… entries
-- ARGV  1 operation   2 id for a new scope   3 number of that change   4 tenant, as in delete.lua
--       5… keys
-- Reply {'ok', how many} {'corrupt', key}
local operation_id, scope_id, change, whose = unpack(ARGV, 1, 4)
local operation, seq = operation_on(operation_id), (last_change())
if not seq then return {'corrupt', KEYS[1]} end
if redis.call('ZSCORE', KEYS[6], operation) then
  write_again(KEYS[6])
  return {'ok', 0}
end
local old = {}
for i = 7, #KEYS do
  local version, tenant = unpack(redis.call('HMGET', KEYS[i], 'version', 'tenant'))
  old[i] = (not is_count(version) or tonumber(version) <= tonumber(change))
    and (whose == '' or whose == '=' .. (tenant or ''))
end
local many = 0
for i = 7, #KEYS do
  if old[i] then
    seq, many = seq + 1, many + 1
    write_deleted(KEYS[i], ARGV[i - 2], seq)
  end
end
if many > 0 then write_change(seq, scope_id, operation) else write_again(KEYS[1]) end
return {'ok', many}
