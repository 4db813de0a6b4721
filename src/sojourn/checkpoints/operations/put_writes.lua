-- Store the writes of a task beside a checkpoint, once, with the objects that they use.
--
-- KEYS  as in shared.lua
-- ARGV  1 thread (empty for one that nobody sees)   2 operation   3 ttl, ms or '' (never)
--       4 namespace, a colon, and the checkpoint's id   5 task   6 how many writes
--       7 … for each: its index and the rest of its line; then for each object its digest and itself
-- Reply as put.lua
local thread, operation, ttl, place, task, number = unpack(ARGV, 1, 6)
local head, newer = head_of(thread)
if newer then return newer end
if is_done(head, thread, operation) then
  write_done_again(head)
  return {'ok'}
end
local after = 7 + 2 * tonumber(number)
local objects, uses, released = {}, {}, {}
for i = after, #ARGV, 2 do objects[ARGV[i]] = ARGV[i + 1] end
local writes = redis.call('HGET', KEYS[3], place) or ''
for i = 7, after - 1, 2 do
  local start = '\n' .. task .. ' ' .. ARGV[i] .. ' '
  local from = string.find(writes, start, 1, true)
  local first = string.sub(ARGV[i], 1, 1) ~= '-'
  if not (from and first) then -- the first of an index stays, but the last of a negative one
    if from then
      local to = string.find(writes, '\n', from + 1, true) or #writes + 1
      for _, digest in ipairs(used_by(string.sub(writes, from, to - 1))) do
        released[#released + 1] = digest
      end
      writes = string.sub(writes, 1, from - 1) .. string.sub(writes, to)
    end
    local line = start .. ARGV[i + 1]
    writes = writes .. line
    for _, digest in ipairs(used_by(line)) do uses[#uses + 1] = digest end
  end
end
local counts, new, missing = count_uses(uses, objects)
if #missing > 0 then
  table.insert(missing, 1, 'missing')
  return missing
end
redis.call('HLEN', KEYS[5])

redis.call('HSET', KEYS[3], place, writes)
write_uses(counts, new, objects)
write_release(released)
write_touch(head, thread, operation, ttl)
return {'ok'}
