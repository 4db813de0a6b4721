-- Make the indexes of a user say of some sessions what is the case.
--
-- KEYS  1 sessions (zset: session → updated)   2 sessions:expiry (zset: session → expires, ms)
--       3… sessions (hashes)
-- ARGV  1 a label in whose set they were met, as a JSON object, or ''   2… their ids
-- Reply {how many are gone and were taken out, how many were missing and were entered, then for
--        each updated, expires and labels as its fields have them; updated is '' for one that is
--        gone, '?' for one that cannot be read}
local reply, met = {0, 0}, read_labels(ARGV[1])
for i = 2, #ARGV do
  local id, row = ARGV[i], {'?', '', ''}
  local kind = redis.call('TYPE', KEYS[i + 1]).ok
  if kind == 'none' then
    local was = redis.call('ZREM', KEYS[1], id) + redis.call('ZREM', KEYS[2], id)
    reply[1] = reply[1] + math.min(1, was)
    write_labelled(KEYS[1], KEYS[2], id, now, {}, met)
    row[1] = ''
  elseif kind == 'hash' then
    local head = redis.call('HMGET', KEYS[i + 1], 'updated', 'expires', 'labels')
    -- A full server refuses a ZADD that would change nothing, too.
    local known = redis.call('ZSCORE', KEYS[1], id) and redis.call('ZSCORE', KEYS[2], id)
    local sound = is_time(head[1]) and is_lifetime(head[2])
    if not known and sound then
      local added = redis.call('ZADD', KEYS[1], 'NX', head[1], id)
        + redis.call('ZADD', KEYS[2], 'NX', head[2] == '' and '+inf' or head[2], id)
      if added > 0 then
        reply[2] = reply[2] + 1
        write_index_lifetime(KEYS[1], KEYS[2], head[2])
      end
    end
    if sound then
      write_labelled(KEYS[1], KEYS[2], id, head[2], read_labels(head[3]) or {}, met)
      row = {head[1], head[2], head[3] or ''}
    end
  end
  for _, field in ipairs(row) do reply[#reply + 1] = field end
end
return reply
