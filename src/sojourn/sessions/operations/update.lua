-- Change fields or the lifetime of a session, or only refresh its lifetime.
--
-- KEYS  1 session (hash)   2 events (list)   3 ops (zset: operation id → version)
--       4 ids (zset)                           5 sessions (zset: session → updated)
--       6 sessions:expiry (zset: session → expires, ms)
--       7 notices (stream), where they are wanted
-- ARGV  1 operation id     2 incarnation or ''   3 expected version or ''   4 session id
--       5 new ttl: ms, '' (never) or 'keep'      6 new until: ms, '' (never) or 'keep'
--       7 cap of labels, their number           8… field, value, …; of `labels` those to set, and
--         with null those to remove; where notices are wanted then the shared ttl, ms or ''
-- Reply {'ok' | 'duplicate', version, min lifetime, updated, expires or '', labels as JSON or '', those
--         before}
--       {'missing'} {'stale', version} {'labels', number} {'corrupt'} {'newer', format}
--       {'sealed', a value that is}: nothing was written

-- Whether text stands before other text, by its bytes: `<` asks the server's locale.
local function is_before(one, other)
  for i = 1, math.min(#one, #other) do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then return a < b end
  end
  return #one < #other
end

-- Labels as they stand in a field: a JSON object, names in order, '' when there are none.
local function labels_field(labels)
  local parts = {}
  for name in pairs(labels) do parts[#parts + 1] = name end
  if #parts == 0 then return '' end
  table.sort(parts, is_before)
  for i, name in ipairs(parts) do
    parts[i] = cjson.encode(name) .. ':' .. cjson.encode(labels[name])
  end
  return (string.gsub('{' .. table.concat(parts, ',') .. '}', '\\/', '/'))
end

local operation_id, expected_incarnation, expected_version, id, new_ttl, new_until, max_labels =
  unpack(ARGV, 1, 7)
local session, events, ops, ids, by_update, by_expiry = unpack(KEYS)
local head = redis.call('HMGET', session,
  'incarnation', 'version', 'ttl', 'updated', 'format', 'until', 'labels', 'expires', 'status')
local incarnation, version, until_now = head[1], tonumber(head[2]), head[6] or ''
local former = head[7] or ''
if not incarnation then return not_there(session) end
if expected_incarnation ~= '' and expected_incarnation ~= incarnation then return {'missing'} end
if not major_of(head[5]) or not is_count(head[2]) or not is_lifetime(head[3])
    or not is_time(head[4]) or not is_lifetime(until_now) then
  return {'corrupt'}
end
local name = 'u' .. operation_id
local done = redis.call('ZSCORE', ops, name)
if done then
  write_again(ops)
  return {'duplicate', done, min_lifetime(head[3], until_now), head[4], head[8] or '', former, former}
end
local changed = #ARGV > 8 or new_ttl ~= 'keep' or new_until ~= 'keep'
if changed and major_of(head[5]) > 1 then return {'newer', head[5]} end
if expected_version ~= '' and tonumber(expected_version) ~= version then return {'stale', version} end
for i = 8, #ARGV - 1, 2 do -- what is sealed stays sealed: the status says whether it is
  if ARGV[i] ~= 'labels' and is_sealed(head[9]) and not is_sealed(ARGV[i + 1]) then
    return {'sealed', head[9]}
  end
end
redis.call('LLEN', events)
redis.call('ZCARD', by_update)
redis.call('ZCARD', by_expiry)

local labels, field = read_labels(former) or {}, former
local change = given('labels', 8, math.floor((#ARGV - 7) / 2))
if change then
  if string.byte(former) == 255 then return {'newer', string.match(former, '^.(%d+)') or '1'} end
  local count, set = 0, {}
  for label, word in pairs(labels) do set[label] = word end
  for label, word in pairs(cjson.decode(change)) do
    set[label] = word ~= cjson.null and word or nil
  end
  for _ in pairs(set) do count = count + 1 end
  if count > tonumber(max_labels) then return {'labels', count} end
  labels, field = set, labels_field(set)
end

local ttl = new_ttl == 'keep' and head[3] or new_ttl
local last = new_until == 'keep' and until_now or new_until
local expires, updated = expires_at(ttl, last), head[4]
local fields = {'ttl', ttl, 'until', last, 'expires', expires}
if changed then -- otherwise it is a touch, which may be repeated
  version = version + 1
  updated = seconds()
  for i = 8, #ARGV - 1, 2 do
    fields[#fields + 1] = ARGV[i]
    fields[#fields + 1] = ARGV[i] == 'labels' and field or ARGV[i + 1]
  end
  for _, value in ipairs({'version', version, 'updated', updated}) do
    fields[#fields + 1] = value
  end
  write_operation(ops, name, version, ttl)
end
write_indexed(by_update, by_expiry, id, updated, expires)
write_hash(session, fields)
write_expiry({session, events, ids}, expires)
if ttl ~= '' and tonumber(ttl) < 86400000 then redis.call('PEXPIREAT', ops, expires) end
write_index_lifetime(by_update, by_expiry, expires, write_mended)
write_labelled(by_update, by_expiry, id, expires, labels, read_labels(former) or {})
if changed and KEYS[7] then
  write_notices(KEYS[7], ARGV[#ARGV], {{'updated', id, version}}, {by_update, by_expiry})
end
return {'ok', version, min_lifetime(ttl, last), updated, expires, field, former}
