# Functions of benches/load/run that start the proxies: examples/gateway, and Envoy with its own filter or with
# examples/ext_authz, in front of one upstream, with the same routes /r0/{id}, /r1/{id} and so on.

# The upstream, on the core of wrk. Sets upstream. Arguments: the load server's binary, the core.
start_upstream() {
  taskset --cpu-list "$2" "$1" upstream >"$files/upstream" &
  started+=($!)
  until grep -qs listening "$files/upstream"; do kill -0 "${started[-1]}" || exit 1; sleep 0.2; done
  upstream=$(sed -n 's/^listening on //p' "$files/upstream")
}

# Arguments: the binary, the core, the number of routes, the port; the next port is that of its probes.
start_gateway() {
  local folder=$files/gateway-$3
  mkdir "$folder"
  gateway_documents "$folder" "$3"
  # Started on its core, so that it sees one and has one thread. Its access log is on, as it is by default.
  PORT=$4 ADMIN_PORT=$(($4 + 1)) taskset --cpu-list "$2" "$1" --config "$folder" >/dev/null 2>"$folder/errors" &
  started+=($!)
  until curl --silent --fail --output /dev/null "http://127.0.0.1:$(($4 + 1))/readyz"; do
    kill -0 "${started[-1]}" 2>/dev/null || { cat "$folder/errors"; exit 1; }
    sleep 0.2
  done
}

# Arguments: the binary, the core, the port; the next port is that of its probes.
start_ext_authz() {
  # Started on its core, so that it sees one and has one thread.
  CLERK_FRONTEND_API_URL=$(cat "$files/issuer") PORT=$3 ADMIN_PORT=$(($3 + 1)) taskset --cpu-list "$2" "$1" \
    >/dev/null 2>"$files/ext_authz.errors" &
  started+=($!)
  until curl --silent --fail --output /dev/null "http://127.0.0.1:$(($3 + 1))/readyz"; do
    kill -0 "${started[-1]}" 2>/dev/null || { cat "$files/ext_authz.errors"; exit 1; }
    sleep 0.2
  done
}

# Arguments: the binary, the core, the number of routes, the port; and the port of ext_authz, if that is asked in place
# of jwt_authn.
start_envoy_proxy() {
  local config=$files/envoy-proxy-$3-${5:-} sample=envoy_proxy issuer
  [ -z "${5:-}" ] || sample=envoy_ext_authz
  issuer=$(cat "$files/issuer")
  sed "s|@PORT@|$4|; s|@UPSTREAM_PORT@|${upstream##*:}|; s|@JWKS@|$files/jwks.json|; s|@ISSUER@|$issuer|
    s|@EXT_AUTHZ_PORT@|${5:-}|" "benches/load/$sample.yaml" >"$config.yaml"
  # The match that costs Envoy the least, less than a regular expression or a URI template.
  for at in $(seq 0 $(($3 - 1))); do
    echo "                        - { match: { path_separated_prefix: /r$at }, route: { cluster: upstream } }"
  done >"$config.routes"
  sed --in-place "/@ROUTES@/ { r $config.routes
    d; }" "$config.yaml"
  taskset --cpu-list "$2" "$1" --config-path "$config.yaml" --concurrency 1 --disable-hot-restart --log-level error \
    >"$config.log" 2>&1 &
  started+=($!)
  until curl --silent --output /dev/null "http://127.0.0.1:$4"; do
    kill -0 "${started[-1]}" 2>/dev/null || { cat "$config.log"; exit 1; }
    sleep 0.2
  done
}

# Arguments: the folder, the number of routes.
gateway_documents() {
  cat >"$1/policies.json" <<JSON
{"policies": [{"name": "clerk", "policyType": "clerk-jwt-auth-inbound", "handler": {
  "export": "ClerkJwtInboundPolicy", "module": "\$import(@zuplo/runtime)",
  "options": {"frontendApiUrl": "$(cat "$files/issuer")"}}}]}
JSON
  local route separator=
  route='{"corsPolicy": "none", "policies": {"inbound": ["clerk"]}, "handler": {
    "export": "urlForwardHandler", "module": "$import(@zuplo/runtime)", "options": {"baseUrl": "http://'$upstream'"}}}'
  {
    echo '{"openapi": "3.1.0", "info": {"title": "load", "version": "1"}, "paths": {'
    for at in $(seq 0 $(($2 - 1))); do
      echo "$separator\"/r$at/{id}\": {\"get\": {\"x-zuplo-route\": $route}}"
      separator=,
    done
    echo '}}'
  } >"$1/routes.oas.json"
}
