-- Before every script of every room: records that another version of Sojourn may have written.

-- The major version in a `format` field. A missing one (false) means 1; nil: it is no version.
local function major_of(format)
  if not format or format == '1' then return 1 end
  local major, minor = string.match(format, '^(%d+)%.?(%d*)$')
  if not major or #major > 9 or #minor > 9 or string.sub(format, -1) == '.' then return nil end
  return tonumber(major) > 0 and tonumber(major) or nil
end

-- Whether a value has an encoding: no text starts with this byte. What was damaged says so, too;
-- the client, which is given the value, looks at its checksum.
local function is_encoded(value)
  return value and string.byte(value) == 255
end

-- Whether a value is sealed: the last of its encodings is encryption.
local function is_sealed(value)
  return is_encoded(value) and string.find(value, '^[^\n]* aes%-256%-gcm:%x+\n') ~= nil
end

-- Whether a value may be put in the place of another, or of none (false): it has all encodings that
-- the other has, but for those that every process can do without. So what is sealed is replaced by
-- what is sealed only, and what this version does not know is not replaced.
local function may_replace(old, value)
  if not is_encoded(old) then return true end
  local major, names = string.match(old, '^\255(%d+)([^\n]*)\n')
  if tonumber(major) ~= 1 then return false end
  local known = {size = true, msgpack = true, zstd = true}
  if is_encoded(value) then
    for name in string.gmatch(string.match(value, '^[^\n]*'), ' ([^ :]+)') do known[name] = true end
  end
  for name in string.gmatch(names, ' ([^ :]+)') do
    if not known[name] then return false end
  end
  return true
end
