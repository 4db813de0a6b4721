-- Read checkpoints with their writes, and the objects that they use.
--
-- KEYS  as in shared.lua
-- ARGV  1 thread   2 'latest' (of the namespace whose name and a colon is 3), 'these' (3 … are their
--       places), or 'bare' (the same, without objects)
-- Reply {'ok', how many, for each: place, checkpoint, writes; then for each object digest, object}
--       {'lost'}   {'corrupt'}   {'newer', its format}
local head, newer = head_of(ARGV[1])
if newer then return newer end
local places = {}
if ARGV[2] == 'latest' then
  places = {last_of(ARGV[3]) or nil}
else
  for i = 3, #ARGV do places[i - 2] = ARGV[i] end
end
local reply, found, todo = {'ok', 0}, 0, {}
for _, place in ipairs(places) do
  local checkpoint = redis.call('HGET', KEYS[2], place)
  if checkpoint then
    local writes = redis.call('HGET', KEYS[3], place) or ''
    found = found + 1
    reply[3 * found], reply[3 * found + 1], reply[3 * found + 2] = place, checkpoint, writes
    local _, digests = lead_of(checkpoint)
    for _, digest in ipairs(digests) do todo[#todo + 1] = digest end
    for _, digest in ipairs(used_by(writes)) do todo[#todo + 1] = digest end
  elseif ARGV[2] == 'latest' then
    return {'lost'}
  end
end
reply[2] = found
if ARGV[2] == 'bare' then return reply end
local seen, at = {}, #reply
while #todo > 0 do
  local batch = {}
  while #todo > 0 and #batch < 500 do
    local digest = table.remove(todo)
    if not seen[digest] then
      seen[digest] = true
      batch[#batch + 1] = digest
    end
  end
  if #batch > 0 then
    for i, object in ipairs(redis.call('HMGET', KEYS[4], unpack(batch))) do
      if object then
        reply[at + 1], reply[at + 2] = batch[i], object
        at = at + 2
        for _, child in ipairs(children_of(object)) do todo[#todo + 1] = child end
      end
    end
  end
end
return reply
