-- Make a version of what was uploaded, or of the one chunk that comes along, once.
--
-- KEYS  1 artifact (hash)   2 index (zset: name → expires, ms)   3 saved (string: version)
--       4 data of this version (hash: number → chunk; version)
--       5 … data of the versions before, when their lifetimes have to change, too
-- ARGV  1 name   2 ttl, ms or '' (never)   3 created, s or ''   4 its record as `write_version` takes it
--       5 what its data are called   6 number of chunks   7 bytes of them   8 the chunk, or absent
-- Reply {'ok', version}
--       {'keys', data …}: these are wanted as keys; {'incomplete'}: chunks are missing;
--       {'corrupt'} {'lost'} {'newer', its format, or '' and a version that is sealed}: nothing
--       was written
local name, ttl, created, record, data_name, chunks, bytes, chunk = unpack(ARGV, 1, 8)
local done = redis.call('GET', KEYS[3]) or redis.call('HGET', KEYS[4], 'version')
if done then
  write_again(KEYS[4])
  write_again(KEYS[3])
  return {'ok', done}
end
local head, newer = head_of(KEYS[1])
if newer then return newer end
if head == false then return {'corrupt'} end
if not head and absent(KEYS[2], name) == 'lost' then return {'lost'} end
local version, expires = 0, nil
if head then version, expires = head.versions, head.expires end
if version > 0 and not is_sealed(record) then -- what is sealed stays sealed
  local former = redis.call('HGET', KEYS[1], 'version:' .. whole(version - 1))
  if is_sealed(former) then return {'newer', '', former} end
end

if not chunk then
  local size = 0
  for i = 0, chunks - 1 do size = size + redis.call('HSTRLEN', KEYS[4], whole(i)) end
  if size ~= tonumber(bytes) then return {'incomplete'} end
end
local due = not head or is_due(expires, ttl)
if due then
  local names = data_of(KEYS[1], version)
  if not are_given(KEYS[1], names, 5) then return ask(names) end
  expires = expires_at(ttl)
end

-- The index comes first: a key of another type stops the script while nothing is written.
write_index(KEYS[2], name, expires)
local number = whole(version)
if created == '' then created = string.format('%d.%06d', clock[1], clock[2]) end
if chunk then redis.call('HSET', KEYS[4], '0', chunk) end
redis.call('HSET', KEYS[4], 'version', number)
redis.call('HSETNX', KEYS[1], 'format', '1')
redis.call('HSET', KEYS[1], 'versions', whole(version + 1), 'expires', expires)
write_version(KEYS[1], number, record, created, data_name)
write_expiry(KEYS[4], expires)
if due then
  write_expiry(KEYS[1], expires)
  for i = 5, #KEYS do write_expiry(KEYS[i], expires) end
end
redis.call('SET', KEYS[3], number, 'PX', DAY)
return {'ok', number}
