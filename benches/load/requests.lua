-- Sends the tokens of a file in turn: wrk -s requests.lua URL -- FILE

local requests, at = {}, 0

function init(arguments)
  for token in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("GET", nil, { ["Authorization"] = "Bearer " .. token })
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

-- One line: requests, seconds, responses that are neither 2xx nor 3xx, errors, milliseconds of the 99th percentile.
function done(summary, latency)
  local errors = summary.errors
  local broken = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("RESULT %d %.3f %d %d %.3f\n", summary.requests, summary.duration / 1e6,
    errors.status, broken, latency:percentile(99) / 1000))
end
