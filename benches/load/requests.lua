-- Sends the tokens of a file in turn: wrk -s requests.lua URL -- FILE

local requests, at = {}, 0

function init(arguments)
  local tokens = {}
  for token in io.lines(arguments[1]) do
    tokens[#tokens + 1] = "Bearer " .. token
  end
  if #tokens == 1 then
    -- Without a function for it, wrk formats the request once. Calling Lua for each would make wrk the slower side.
    wrk.headers["Authorization"] = tokens[1]
    return
  end
  for index, value in ipairs(tokens) do
    requests[index] = wrk.format("GET", nil, { ["Authorization"] = value })
  end
  request = function()
    at = at % #requests + 1
    return requests[at]
  end
end

-- One line: requests, seconds, responses that are neither 2xx nor 3xx, errors, milliseconds of the 99th percentile.
function done(summary, latency)
  local errors = summary.errors
  local broken = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("RESULT %d %.3f %d %d %.3f\n", summary.requests, summary.duration / 1e6,
    errors.status, broken, latency:percentile(99) / 1000))
end
