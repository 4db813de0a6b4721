-- Write the state of a user or an app as it once was.
--
-- KEYS  1 state (hash)
-- ARGV  1 'replace' (what is there) or ''   2 expires, ms or '' (never)   3 cap, bytes
--       4 a name for this write where values have stamps (an app's), else ''
--       5 number of pairs, then the pairs
-- Reply {'ok'}   {'expired'} {'exists'} {'state', bytes} {'newer', format}: nothing was written
local replace, expires, state_cap, stamped_by, n_pairs = unpack(ARGV, 1, 5)
local key = KEYS[1]
if expires ~= '' and tonumber(expires) <= now then return {'expired'} end
if redis.call('EXISTS', key) == 1 and replace == '' then return {'exists'} end
local format = redis.call('TYPE', key).ok == 'hash' and redis.call('HGET', key, 'format')
if (major_of(format) or 1) > 1 then return {'newer', format} end
local bytes, fields = state_size(6, tonumber(n_pairs)), {}
for i = 6, 5 + 2 * tonumber(n_pairs), 2 do
  fields[#fields + 1] = 'state:' .. ARGV[i]
  fields[#fields + 1] = ARGV[i + 1]
  if string.byte(ARGV[i + 1]) == 255 then
    fields[#fields + 1] = 'size:' .. ARGV[i]
    fields[#fields + 1] = plain_size(ARGV[i + 1])
  end
  if stamped_by ~= '' then
    fields[#fields + 1] = 'at:' .. ARGV[i]
    fields[#fields + 1] = string.format('%.0f:', stamp) .. stamped_by
  end
end
if bytes > tonumber(state_cap) then return {'state', bytes} end
fields[#fields + 1] = 'bytes'
fields[#fields + 1] = bytes
-- Beside what is there first: a full server refuses this write, before anything is changed.
redis.call('HSET', key, 'bytes', bytes)
redis.call('UNLINK', key)
write_hash(key, fields)
write_expiry({key}, expires)
return {'ok'}
