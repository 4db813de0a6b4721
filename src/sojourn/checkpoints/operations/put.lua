-- Store a checkpoint, once, with the objects that it uses.
--
-- KEYS  as in shared.lua
-- ARGV  1 thread (empty for one that nobody sees)   2 operation   3 ttl, ms or '' (never)
--       4 how many its namespace keeps, or ''   5 namespace and a colon   6 id   7 the checkpoint
--       8 title, or ''   9 … for each object its digest and itself
-- Reply {'ok'}   {'missing', digest …}: these are neither here nor were given;
--       {'corrupt'} {'newer', its format}: nothing was written
local thread, operation, ttl, keep, space, id, checkpoint, title = unpack(ARGV, 1, 8)
local head, newer = head_of(thread)
if newer then return newer end
if is_done(head, thread, operation) then
  write_done_again(head)
  return {'ok'}
end
local place, objects = space .. id, {}
for i = 9, #ARGV, 2 do objects[ARGV[i]] = ARGV[i + 1] end
local before = redis.call('HGET', KEYS[2], place)
local _, digests = lead_of(checkpoint)
local counts, new, missing = count_uses(digests, objects)
if #missing > 0 then
  table.insert(missing, 1, 'missing')
  return missing
end
-- A key of another type stops the script while nothing is written.
redis.call('HLEN', KEYS[5])
redis.call('HLEN', KEYS[3])

redis.call('HSET', KEYS[2], place, checkpoint)
write_uses(counts, new, objects)
if before then
  local _, used = lead_of(before)
  write_release(used)
end
write_last(space, place)
if keep ~= '' then write_pruning(space, tonumber(keep)) end
if title ~= '' then redis.call('HSETNX', KEYS[1], 'title', title) end
write_touch(head, thread, operation, ttl)
return {'ok'}
