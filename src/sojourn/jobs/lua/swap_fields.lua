-- Change fields of a hash, if those that were looked at are as they were.
--
-- KEYS  1 hash
-- ARGV  1 how many fields it had, or '' when others may have come meanwhile
--       2 digest of the values that were looked at
--       3 how many these are, then their names; the number of fields to set, then name and value of
--         each; then the names of those to remove
-- Reply 'ok'; 'changed': nothing was written
local key, count = KEYS[1], ARGV[3] + 0
if ARGV[1] ~= '' and redis.call('HLEN', key) ~= ARGV[1] + 0 then return 'changed' end
if redis.call('EXISTS', key) == 0 then return 'changed' end
local values = {}
for from = 4, 3 + count, 1000 do
  local upto = math.min(3 + count, from + 999)
  for i, value in ipairs(redis.call('HMGET', key, unpack(ARGV, from, upto))) do
    values[from - 4 + i] = value
  end
end
if digest_of(values) ~= ARGV[2] then return 'changed' end
local at = 4 + count
local first, last = at + 1, at + 2 * ARGV[at]
for from = first, last, 1000 do
  redis.call('HSET', key, unpack(ARGV, from, math.min(last, from + 999)))
end
for from = last + 1, #ARGV, 1000 do
  redis.call('HDEL', key, unpack(ARGV, from, math.min(#ARGV, from + 999)))
end
return 'ok'
