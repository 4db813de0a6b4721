-- The records of all versions.
--
-- KEYS  1 artifact (hash)   2 index (zset: name → expires, ms)   ARGV  1 name
-- Reply {'ok', record …} {'missing'} {'lost'} {'corrupt'} {'newer', its format}
local head, newer = head_of(KEYS[1])
if newer then return newer end
if head == nil then return {absent(KEYS[2], ARGV[1])} end
if not head then return {'corrupt'} end
local reply = {'ok'}
for i = 0, head.versions - 1 do
  local record = redis.call('HGET', KEYS[1], 'version:' .. whole(i))
  if not record then return {'corrupt'} end
  reply[i + 2] = record
end
return reply
