-- Apply a delta to the state of an app. Repeating it changes nothing, and an older delta never
-- overwrites a newer one: each value keeps the stamp of the write that it came from.
--
-- What is applied at once gets its stamp here, a later one than all that it replaces, whatever the
-- clocks of the nodes say, or said before they were set.
--
-- KEYS  1 state of the app (hash: state:<key> → JSON, at:<key> → stamp, bytes, applied)
-- ARGV  1 stamp, µs, that it has in the outbox   2 operation id
--       3 shared ttl, ms or '' (never)   4 cap, bytes   5 'now' (at once), 'after' (the same, and later than what
--         waits in the outbox, as its stamp there is), or '' (it has waited)
--       6 number of pairs, then the pairs
-- Reply {'ok'}   {'app state', bytes} {'app state', keys, 'keys'} {'sealed', a value that
--         is}: nothing was written
local outbox_stamp, operation_id, shared_ttl, state_cap, moment, n_pairs = unpack(ARGV, 1, 6)
local key = KEYS[1]
local left = redis.call('PTTL', key)
-- The last sixteen that were applied, ten digits each: `at` forgets one that was overwritten since.
local digest = string.sub(redis.sha1hex(outbox_stamp .. ':' .. operation_id), 1, 10)
local applied = redis.call('HGET', key, 'applied') or ''
for known in string.gmatch(applied, '%S+') do
  if known == digest then
    write_again(key)
    write_lifetime(key, left, shared_ttl)
    return {'ok'}
  end
end

-- The stamp of a value and its operation. One that cannot be read is older than any.
local function written_at(name)
  local at, by = string.match(redis.call('HGET', key, 'at:' .. name) or '', '^(%d+):(.*)$')
  if at and #at < 17 then return tonumber(at), by end
  return 0, ''
end

local mine, first, last = tonumber(outbox_stamp), 7, 6 + 2 * tonumber(n_pairs)
if moment ~= '' then
  mine = moment == 'after' and math.max(stamp, mine) or stamp
  for i = first, last, 2 do mine = math.max(mine, written_at(ARGV[i]) + 1) end
end
local mark = string.format('%.0f:', mine) .. operation_id
local bytes = state_bytes(key, redis.call('HGET', key, 'bytes'))
local added, fields, stale, sizes = 0, {}, {}, encoded_sizes(key, first, tonumber(n_pairs))
for i = first, last, 2 do
  local theirs, by = written_at(ARGV[i])
  if mine > theirs or (mine == theirs and operation_id >= by) then
    local field = 'state:' .. ARGV[i]
    local sealed = sizes[ARGV[i]] and redis.call('HGET', key, field)
    if is_sealed(sealed) and not is_sealed(ARGV[i + 1]) then return {'sealed', sealed} end
    local old = redis.call('HSTRLEN', key, field)
    if old == 0 then bytes, added = bytes + #ARGV[i], added + 1 end
    bytes = bytes - (tonumber(sizes[ARGV[i]]) or old) + plain_size(ARGV[i + 1])
    if string.byte(ARGV[i + 1]) == 255 then
      fields[#fields + 1] = 'size:' .. ARGV[i]
      fields[#fields + 1] = plain_size(ARGV[i + 1])
    elseif sizes[ARGV[i]] then
      stale[#stale + 1] = 'size:' .. ARGV[i]
    end
    for _, value in ipairs({field, ARGV[i + 1], 'at:' .. ARGV[i], mark}) do
      fields[#fields + 1] = value
    end
  end
end
if bytes > tonumber(state_cap) then return {'app state', bytes} end
local keys = too_many_keys(key, added)
if keys then return {'app state', keys, 'keys'} end
if #fields > 0 then
  for _, name in ipairs(stale) do redis.call('HDEL', key, name) end
  for _, value in ipairs({'bytes', bytes, 'applied', string.sub(digest .. ' ' .. applied, 1, 175)}) do
    fields[#fields + 1] = value
  end
  write_hash(key, fields)
end
if #fields == 0 then write_again(key) end
write_lifetime(key, left, shared_ttl)
return {'ok'}
