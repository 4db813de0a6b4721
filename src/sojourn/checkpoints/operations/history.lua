-- The checkpoints before one, without their values, until all names of some have a value.
--
-- KEYS  as in shared.lua
-- ARGV  1 thread   2 namespace and a colon   3 id, or '' for the last   4 … names
-- Reply {'ok', for each: place, checkpoint, writes}   {'missing'}   {'newer', its format}
local head, newer = head_of(ARGV[1])
if newer then return newer end
local space, id = ARGV[2], ARGV[3]
local place = space .. id
if id == '' then place = last_of(space) or '' end
local checkpoint = redis.call('HGET', KEYS[2], place)
if not checkpoint then return {'missing'} end
local wanted, any = {}, #ARGV > 3
for i = 4, #ARGV do wanted[ARGV[i]] = true end
local reply, seen = {'ok'}, {}
local parent = lead_of(checkpoint)
while any and parent ~= '' and not seen[parent] do
  seen[parent] = true
  place = space .. parent
  checkpoint = redis.call('HGET', KEYS[2], place)
  if not checkpoint then break end
  reply[#reply + 1] = place
  reply[#reply + 1] = checkpoint
  reply[#reply + 1] = redis.call('HGET', KEYS[3], place) or ''
  local _, _, names = lead_of(checkpoint)
  local without = {}
  for name in string.gmatch(names, '[^ *]+') do without[name] = true end
  any = false
  for name in pairs(wanted) do
    if without[name] then any = true else wanted[name] = nil end
  end
  parent = lead_of(checkpoint)
end
return reply
