-- The records of all versions.
--
-- KEYS  1 artifact (hash)   2 index (zset: name → expires, ms)   ARGV  1 name
-- Reply {'ok', record, what stands beside an encoded one as created or '', …} {'missing'} {'lost'} {'corrupt'} {'newer', its format}
local head, newer = head_of(KEYS[1])
if newer then return newer end
if head == nil then return {absent(KEYS[2], ARGV[1])} end
if not head then return {'corrupt'} end
local reply = {'ok'}
for i = 0, head.versions - 1 do
  local found = redis.call('HMGET', KEYS[1], 'version:' .. whole(i), 'created:' .. whole(i))
  if not found[1] then return {'corrupt'} end
  reply[2 * i + 2], reply[2 * i + 3] = found[1], found[2] or ''
end
return reply
