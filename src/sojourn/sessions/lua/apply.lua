-- Apply a delta to the state of an app. Repeating it changes nothing, and an older delta never
-- overwrites a newer one: each value keeps the stamp of the write that it came from.
--
-- KEYS  1 state of the app (hash: state:<key> → JSON, at:<key> → stamp, bytes)
-- ARGV  1 stamp, µs       2 operation id   3 shared ttl, ms or '' (never)   4 cap, bytes
--       5 number of pairs, then the pairs
-- Reply {'ok'}   {'app state', bytes}; nothing was written
local key, mine = KEYS[1], tonumber(ARGV[1])
local left = redis.call('PTTL', key)
local bytes = state_bytes(key, redis.call('HGET', key, 'bytes'))
local fields, stale, sizes = {}, {}, encoded_sizes(key, 6, tonumber(ARGV[5]))
for i = 6, 5 + 2 * tonumber(ARGV[5]), 2 do
  -- A stamp that cannot be read is older than any.
  local at, by = string.match(redis.call('HGET', key, 'at:' .. ARGV[i]) or '', '^(%d+):(.*)$')
  local theirs = tonumber(at) or 0
  if mine > theirs or (mine == theirs and ARGV[2] >= by) then
    local field = 'state:' .. ARGV[i]
    local old = redis.call('HSTRLEN', key, field)
    if old == 0 then bytes = bytes + #ARGV[i] end
    bytes = bytes - (tonumber(sizes[ARGV[i]]) or old) + #ARGV[i + 1]
    if sizes[ARGV[i]] then stale[#stale + 1] = 'size:' .. ARGV[i] end
    for _, value in ipairs({field, ARGV[i + 1], 'at:' .. ARGV[i], ARGV[1] .. ':' .. ARGV[2]}) do
      fields[#fields + 1] = value
    end
  end
end
if bytes > tonumber(ARGV[4]) then return {'app state', bytes} end
if #fields > 0 then
  for _, name in ipairs(stale) do redis.call('HDEL', key, name) end
  fields[#fields + 1] = 'bytes'
  fields[#fields + 1] = bytes
  write_hash(key, fields)
end
if #fields == 0 then write_again(key) end
write_lifetime(key, left, ARGV[3])
return {'ok'}
