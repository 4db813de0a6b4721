-- Read checkpoints with their writes, and the objects that they use.
--
-- KEYS  as in shared.lua
-- ARGV  1 'latest' (of the namespace whose name and a colon is 2), 'these' (2 … are their places), or
--       'bare' (the same, without objects)
-- Reply {'ok', how many, for each: place, checkpoint, writes; then for each object digest, object}
--       {'lost', its place}   {'corrupt'}   {'newer', its format}
local head, newer = head_of()
if newer then return newer end
local places = {}
if ARGV[1] == 'latest' then
  local after = string.sub(ARGV[2], 1, -2) .. ';'
  places = redis.call('ZREVRANGEBYLEX', KEYS[2], '(' .. after, '[' .. ARGV[2], 'LIMIT', 0, 1)
else
  for i = 2, #ARGV do places[i - 1] = ARGV[i] end
end
local reply, found, todo = {'ok', 0}, 0, {}
for _, place in ipairs(places) do
  local checkpoint = redis.call('HGET', KEYS[3], place)
  if checkpoint then
    local writes = redis.call('HGET', KEYS[4], place) or ''
    found = found + 1
    reply[3 * found], reply[3 * found + 1], reply[3 * found + 2] = place, checkpoint, writes
    local _, digests = lead_of(checkpoint)
    for _, digest in ipairs(digests) do todo[#todo + 1] = digest end
    for _, digest in ipairs(used_by(writes)) do todo[#todo + 1] = digest end
  elseif redis.call('ZSCORE', KEYS[2], place) then
    return {'lost', place}
  end
end
reply[2] = found
if ARGV[1] == 'bare' then return reply end
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
    for i, object in ipairs(redis.call('HMGET', KEYS[5], unpack(batch))) do
      if object then
        reply[at + 1], reply[at + 2] = batch[i], object
        at = at + 2
        for _, child in ipairs(children_of(object)) do todo[#todo + 1] = child end
      end
    end
  end
end
return reply
