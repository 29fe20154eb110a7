"""The scripts that move messages, and the keys that they touch.

A message is JSON, as kombu writes it, with one member in front that is ours:

    {"ion":[enqueued_ms,lost,returned,[[at_ms,"what","worker"],...]],"body":...}

*enqueued_ms*: when it was published; *lost*: how many workers died with it; *returned*: how often it came
back to its queue, lost or not; then its story.  All times are the server's; all but the first are written
by scripts.  It is in front so that a
script finds it without reading the rest, and inside so that the whole stays JSON that kombu's own transport
reads, too.  What is no JSON object carries the member as an object of its own before it.

Keys, all below the prefix:

    <queue>             list      what waits; published on the left, claimed on the right
    bell:<queue>        list      a token for each of the last publications; waiting workers pop it
    workers             hash      id -> name of every worker that may have something in flight
    hb:<id>             string    lives while the worker does; the lowest claim number that is valid
    inflight:<id>       hash      <claim number>/<queue> -> message
    quarantine          list      what nobody could read, when no other place is given for it

A script that takes something away before it puts it elsewhere may do so on a full server, too: it would not
free any memory by failing.  Publishing may not.
"""

from dataclasses import dataclass

HEARTBEAT_TTL_MS = 6_000
BELL_TTL_MS = 60_000
BELL_TOKENS = 64  # as many waiting workers are woken by a burst; the others, within a second
QUARANTINE_TTL_MS = 7 * 86_400_000
LOST_WITH_WORKER = "lost with its worker"

_ALWAYS = "#!lua flags=allow-oom\n"  # also when the server is full

_COMMON = f"""
local function ring(bell)
  local n = redis.call('LPUSH', bell, '1')
  if n == 1 then redis.call('PEXPIRE', bell, {BELL_TTL_MS})
  elseif n > {BELL_TOKENS} then redis.call('LTRIM', bell, 0, {BELL_TOKENS - 1}) end
end
local function now()
  local t = redis.call('TIME')
  return t[1] .. string.format('%03d', math.floor(t[2] / 1000))
end
"""

_GIVE_BACK = (
    _COMMON
    + f"""
local function take_apart(item)
  local ms, lost, back, story, sep, at =
    string.match(item, '^{{"ion":%[(%d+),(%d+),(%d+),(%b[])%]([,}}])()')
  if not ms then return '0', 0, 0, '', item end
  local rest = string.sub(item, at)
  if sep == ',' then rest = '{{' .. rest end
  return ms, math.min(tonumber(lost), 999), math.min(tonumber(back), 999999), string.sub(story, 2, -2), rest
end
local function give_back(prefix, inflight, field, lost_with)
  local item = redis.call('HGET', inflight, field)
  if not item then return 0 end
  redis.call('HDEL', inflight, field)
  local ms, lost, back, story, rest = take_apart(item)
  if lost_with then
    lost = lost + 1
    if story ~= '' then story = story .. ',' end
    story = story .. '[' .. now() .. ',"{LOST_WITH_WORKER}","' .. lost_with .. '"]'
  end
  local head = '{{"ion":[' .. ms .. ',' .. lost .. ',' .. (back + 1) .. ',[' .. story .. ']]'
  if string.byte(rest) == 123 then item = head .. ',' .. string.sub(rest, 2)
  else item = head .. '}}' .. rest end
  local queue = string.match(field, '^%d+/(.*)$')
  redis.call('RPUSH', prefix .. queue, item)
  ring(prefix .. 'bell:' .. queue)
  return 1
end
local function newest_first(fields)
  table.sort(fields, function(a, b)
    return tonumber(string.match(a, '^%d+')) > tonumber(string.match(b, '^%d+'))
  end)
  return fields
end
"""
)

# KEYS: bell.
RING = _COMMON + "ring(KEYS[1])"

# KEYS: heartbeat, in flight, then each queue, then the bell of each.  ARGV: claim number, length of the
# prefix, most bytes, bytes shown of more than that, for each queue 1 if nothing of it is kept in flight.
# Returns nothing; or 0 if this worker, or this claim, is no longer valid; or the queue's index and the
# message; or the queue's index, the beginning of a message that is too long, and its size.
CLAIM = (
    _ALWAYS
    + """
local queues = (#KEYS - 2) / 2
if string.find(ARGV[5], '0', 1, true) then
  local lowest = redis.call('GET', KEYS[1])
  if not lowest or tonumber(ARGV[1]) < tonumber(lowest) then return 0 end
end
for i = 1, queues do
  local key = KEYS[2 + i]
  local item = redis.call('RPOP', key)
  if item then
    if string.sub(ARGV[5], i, i) == '0' then
      redis.call('HSET', KEYS[2], ARGV[1] .. '/' .. string.sub(key, ARGV[2] + 1), item)
    end
    local size = #item
    if size <= tonumber(ARGV[3]) then return {i, item} end
    local head = string.sub(item, 1, ARGV[4])
    item = nil
    collectgarbage()
    return {i, head, size}
  end
end
redis.call('DEL', unpack(KEYS, 3 + queues))
return nil
"""
)

# KEYS: workers, heartbeat.  ARGV: id, name, time to live in ms.
JOIN = (
    _ALWAYS
    + """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SET', KEYS[2], '0', 'PX', ARGV[3])
"""
)

# KEYS: workers, heartbeat.  ARGV: prefix, id, time to live in ms, lowest valid claim, most messages to move
# (0: only beat).  Returns whether this worker still is one, how many were moved, whether there are more.
TEND = (
    _ALWAYS
    + _GIVE_BACK
    + """
local prefix, id, most = ARGV[1], ARGV[2], tonumber(ARGV[5])
local listed = redis.call('HEXISTS', KEYS[1], id)
if listed == 1 then
  local lowest = math.max(tonumber(redis.call('GET', KEYS[2]) or '0'), tonumber(ARGV[4]))
  redis.call('SET', KEYS[2], string.format('%d', lowest), 'PX', ARGV[3])
end
if most == 0 then return {listed, 0, 0} end
local moved = 0
local everyone = redis.call('HGETALL', KEYS[1])
for i = 1, #everyone, 2 do
  local other, name = everyone[i], everyone[i + 1]
  if other ~= id and redis.call('EXISTS', prefix .. 'hb:' .. other) == 0 then
    local inflight = prefix .. 'inflight:' .. other
    for _, field in ipairs(newest_first(redis.call('HKEYS', inflight))) do
      if moved == most then return {listed, moved, 1} end
      moved = moved + give_back(prefix, inflight, field, name)
    end
    redis.call('HDEL', KEYS[1], other)
  end
end
return {listed, moved, 0}
"""
)

# KEYS: in flight.  ARGV: prefix, then the messages to give back.  Nobody died with them.
RETURN = (
    _ALWAYS
    + _GIVE_BACK
    + """
local moved = 0
for i = 2, #ARGV do moved = moved + give_back(ARGV[1], KEYS[1], ARGV[i]) end
return moved
"""
)

# KEYS: heartbeat, in flight.  ARGV: prefix, lowest claim valid from now on, then the messages to keep.
# Gives back what was claimed, but never reached the worker.
RECOVER = (
    _ALWAYS
    + _GIVE_BACK
    + f"""
local keep, moved = {{}}, 0
for i = 3, #ARGV do keep[ARGV[i]] = true end
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', {HEARTBEAT_TTL_MS})
end
for _, field in ipairs(newest_first(redis.call('HKEYS', KEYS[2]))) do
  if not keep[field] then moved = moved + give_back(ARGV[1], KEYS[2], field) end
end
return moved
"""
)

# KEYS: workers, heartbeat, in flight.  ARGV: prefix, id.  No claim of this worker is valid after it.
LEAVE = (
    _ALWAYS
    + _GIVE_BACK
    + """
local moved = 0
redis.call('DEL', KEYS[2])
for _, field in ipairs(newest_first(redis.call('HKEYS', KEYS[3]))) do
  moved = moved + give_back(ARGV[1], KEYS[3], field)
end
redis.call('HDEL', KEYS[1], ARGV[2])
return moved
"""
)

# KEYS: in flight, quarantine.  ARGV: message, most bytes, most messages.
QUARANTINE = (
    _ALWAYS
    + f"""
local item = redis.call('HGET', KEYS[1], ARGV[1])
if not item then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('LPUSH', KEYS[2], string.sub(item, 1, ARGV[2]))
redis.call('LTRIM', KEYS[2], 0, ARGV[3] - 1)
redis.call('PEXPIRE', KEYS[2], {QUARANTINE_TTL_MS})
return 1
"""
)

# KEYS: queue.  Returns its length, and the age in ms of what comes next, or -1 if nobody knows.
STATE = """
local item = redis.call('LINDEX', KEYS[1], -1)
local ms = item and tonumber(string.match(item, '^{"ion":%[(%d+),') or '0') or 0
local t = redis.call('TIME')
local age = -1
if ms > 0 then age = math.max(0, t[1] * 1000 + math.floor(t[2] / 1000) - ms) end
return {redis.call('LLEN', KEYS[1]), age}
"""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys below *prefix*."""

    prefix: str

    @property
    def workers(self) -> str:
        """The hash of all workers."""
        return f"{self.prefix}workers"

    @property
    def quarantine(self) -> str:
        """The list of what nobody could read."""
        return f"{self.prefix}quarantine"

    def queue(self, queue: str) -> str:
        """Return the list of what waits on *queue*."""
        return f"{self.prefix}{queue}"

    def bell(self, queue: str) -> str:
        """Return the list of tokens that wakes who waits for *queue*."""
        return f"{self.prefix}bell:{queue}"

    def heartbeat(self, worker: str) -> str:
        """Return the key that lives while *worker* does."""
        return f"{self.prefix}hb:{worker}"

    def inflight(self, worker: str) -> str:
        """Return the hash of what *worker* has in flight."""
        return f"{self.prefix}inflight:{worker}"
