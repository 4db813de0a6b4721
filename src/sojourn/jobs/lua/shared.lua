-- Before every script of this folder.

-- A digest of some values, in this order; false is one that is not there.
local function digest_of(values)
  local parts = {}
  for i, value in ipairs(values) do parts[i] = value and #value .. ':' .. value or '-' end
  return redis.sha1hex(table.concat(parts))
end
