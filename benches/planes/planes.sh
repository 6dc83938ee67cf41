# Functions of benches/planes/run that start what stands in front of the upstream, with the configurations that the
# examples show. Nothing writes an access log.

# Arguments: what to ask until it answers, the process, its log.
wait_for() {
  until curl --silent --output /dev/null "$1"; do
    kill -0 "$2" 2>/dev/null || { cat "$3"; exit 1; }
    sleep 0.2
  done
}

# Starts a program on the core of the planes. Arguments: its log, then its command.
start() {
  local log=$1
  shift
  taskset --cpu-list "$plane_core" "$@" >"$log" 2>&1 &
  started+=($!)
}

# Writes a configuration to stdout: a file with substitutions of sed, each of which must apply, as the samples change.
# Arguments: the file, the substitutions.
configured() {
  local text substituted substitution
  text=$(cat "$1")
  for substitution in "${@:2}"; do
    substituted=$(sed "$substitution" <<<"$text")
    [ "$substituted" != "$text" ] || { echo "$1: nothing for $substitution" >&2; exit 1; }
    text=$substituted
  done
  printf '%s\n' "$text"
}

# Arguments: the name, the port, the port of forward_auth, or none.
start_nginx() {
  local folder=$files/$1 config
  if [ $# = 3 ]; then
    config=$(configured examples/forward_auth/nginx.conf \
      "s|127.0.0.1:8080|127.0.0.1:$2|" "s|127.0.0.1:9100|127.0.0.1:$3|" "s|127.0.0.1:3000|$upstream|")
  else
    config=$(configured benches/planes/nginx.conf "s|@PORT@|$2|" "s|@UPSTREAM@|$upstream|")
  fi
  mkdir "$folder"
  echo "$config" >"$folder/nginx.conf"
  start "$folder/log" nginx -p "$folder" -c "$folder/nginx.conf" -g "daemon off; worker_processes 1; pid $folder/pid;"
  wait_for "http://127.0.0.1:$2" "${started[-1]}" "$folder/log"
}

# Arguments: as those of start_nginx.
start_caddy() {
  local folder=$files/$1 config
  if [ $# = 3 ]; then
    config=$(configured examples/forward_auth/Caddyfile \
      "s|http://:8080|http://:$2|" "s|127.0.0.1:9100|127.0.0.1:$3|" "s|127.0.0.1:3000|$upstream|")
  else
    config=$(configured benches/planes/Caddyfile "s|@PORT@|$2|" "s|@UPSTREAM@|$upstream|")
  fi
  mkdir "$folder"
  echo "$config" >"$folder/Caddyfile"
  HOME=$folder start "$folder/log" "$caddy" run --adapter caddyfile --config "$folder/Caddyfile"
  wait_for "http://127.0.0.1:$2" "${started[-1]}" "$folder/log"
}

# That of examples/ext_authz, without its access log. Arguments: the name, the port, the port of ext_authz.
start_envoy_ext_authz() {
  local config
  config=$(configured examples/ext_authz/envoy.yaml '/^ *access_log:$/,/^ *org: /d' "s|port_value: 9901|port_value: 0|" \
    "s|port_value: 10000|port_value: $2|" "s|port_value: 9001|port_value: $3|" "s|port_value: 9003|port_value: ${upstream##*:}|")
  echo "$config" >"$files/$1.yaml"
  start_envoy "$files/$1" "$2"
}

# With the filter jwt_authn and its cache. Arguments: the name, the port.
start_envoy_jwt_authn() {
  local config
  config=$(configured benches/load/envoy_proxy.yaml "s|@PORT@|$2|" "s|@UPSTREAM_PORT@|${upstream##*:}|" \
    "s|@JWKS@|$files/jwks.json|" "s|@ISSUER@|$(cat "$files/issuer")|" \
    "s|@ROUTES@|- { match: { prefix: / }, route: { cluster: upstream } }|")
  echo "$config" >"$files/$1.yaml"
  start_envoy "$files/$1" "$2"
}

# Arguments: the name, the port.
start_envoy_alone() {
  local config
  config=$(configured benches/planes/envoy.yaml "s|@PORT@|$2|" "s|@UPSTREAM_PORT@|${upstream##*:}|")
  echo "$config" >"$files/$1.yaml"
  start_envoy "$files/$1" "$2"
}

start_envoy() {
  start "$1.log" "$envoy" --config-path "$1.yaml" --concurrency 1 --disable-hot-restart --log-level error
  wait_for "http://127.0.0.1:$2" "${started[-1]}" "$1.log"
}

# Arguments: the name, the port; the next port is that of its probes.
start_gateway() {
  local folder=$files/$1
  mkdir "$folder"
  cat >"$folder/policies.json" <<JSON
{"policies": [{"name": "clerk", "policyType": "clerk-jwt-auth-inbound", "handler": {
  "export": "ClerkJwtInboundPolicy", "module": "\$import(@zuplo/runtime)",
  "options": {"frontendApiUrl": "$(cat "$files/issuer")"}}}]}
JSON
  cat >"$folder/routes.oas.json" <<JSON
{"openapi": "3.1.0", "info": {"title": "planes", "version": "1"}, "paths": {"/me": {"get": {"x-zuplo-route": {
  "corsPolicy": "none", "policies": {"inbound": ["clerk"]}, "handler": {"export": "urlForwardHandler",
  "module": "\$import(@zuplo/runtime)", "options": {"baseUrl": "http://$upstream"}}}}}}}
JSON
  PORT=$2 ADMIN_PORT=$(($2 + 1)) start /dev/null "$gateway" --config "$folder" --access-log off
  wait_for "http://127.0.0.1:$(($2 + 1))/readyz" "${started[-1]}" /dev/null
}
