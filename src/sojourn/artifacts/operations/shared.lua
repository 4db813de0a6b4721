-- Before every script of this room. Nothing here writes unless its name says so.

-- The server's clock, in milliseconds. `..` would round large numbers: `whole` writes them out.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function whole(number) return string.format('%.0f', number) end

-- How long operation ids are remembered, ms.
local DAY = 86400000

-- Whether a field is a whole number as scripts write it.
local function is_count(field)
  return field and #field < 16 and string.find(field, '^%d+$')
end

-- The head of an artifact: how many versions it has, and when it expires, ms or '' for never.
-- nil when there is none, false when it cannot be read. And the reply about one of a newer format:
-- {'newer', its format}; it is served nobody, and gets no version; all else may go on if its head can
-- be read.
local function head_of(key)
  local head = redis.call('HMGET', key, 'format', 'versions', 'expires')
  if not head[2] and redis.call('EXISTS', key) == 0 then return nil end
  local major, expires = major_of(head[1]), head[3] or ''
  if not major then return false end
  local newer = major > 1 and {'newer', head[1]} or nil
  if not is_count(head[2]) or tonumber(head[2]) == 0 then return false, newer end
  if tonumber(head[2]) > redis.call('HLEN', key) then return false, newer end -- it has none of them
  if expires ~= '' and not is_count(expires) then return false, newer end
  return {versions = tonumber(head[2]), expires = expires}, newer
end

-- Why there is no head: 'lost' when the index still promises the artifact, so it was evicted.
local function absent(index, name)
  local expires = redis.call('ZSCORE', index, name)
  return expires and tonumber(expires) > now and 'lost' or 'missing'
end

-- Whether less than `ttl` ms is left, '' meaning for ever.
local function is_due(expires, ttl)
  return expires ~= '' and (ttl == '' or tonumber(expires) < now + ttl)
end

-- When an artifact expires that shall live for `ttl` ms at least: a hundredth more than asked, so
-- that not every touch has to set it anew. '' is never.
local function expires_at(ttl)
  return ttl == '' and '' or whole(now + math.ceil(ttl * 1.01))
end

-- What the data of each version are called; '' when that is no part of a key.
local function data_of(key, versions)
  local names = {}
  for i = 0, versions - 1 do
    local name = redis.call('HGET', key, 'data:' .. whole(i)) or ''
    names[i + 1] = string.find(name, "[^A-Za-z0-9_.~@+=,!$'%%-]") and '' or name
  end
  return names
end

-- Whether KEYS[first] and those after it are just these data: a script must be given all its keys.
local function are_given(key, names, first)
  if #KEYS ~= first - 1 + #names then return false end
  for i, name in ipairs(names) do
    if KEYS[first + i - 1] ~= key .. ':data:' .. name then return false end
  end
  return true
end

-- The reply that asks for them.
local function ask(names)
  table.insert(names, 1, 'keys')
  return names
end

-- Let a key expire at an instant, or never.
local function write_expiry(key, expires)
  if expires == '' then redis.call('PERSIST', key) else redis.call('PEXPIREAT', key, expires) end
end

-- Forget in the index what has expired, and let it live as long as the longest-lived in it.
local function write_index_expiry(index)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
  local last = redis.call('ZREVRANGE', index, 0, 0, 'WITHSCORES')[2]
  if last then write_expiry(index, last == 'inf' and '' or last) end
end

-- Enter an artifact into the index.
local function write_index(index, name, expires)
  redis.call('ZADD', index, expires == '' and '+inf' or expires, name)
  write_index_expiry(index)
end

-- Write the record of a version. An encoded one begins with the byte FF, and `created` stands beside
-- it; a plain one is what stands in its JSON behind that.
local function write_version(head, number, record, created, data)
  if string.byte(record) == 255 then
    redis.call('HSET', head, 'version:' .. number, record, 'created:' .. number, created, 'data:' .. number, data)
  else
    redis.call('HSET', head, 'version:' .. number, '{"created":' .. created .. ',' .. record, 'data:' .. number, data)
  end
end
