#!/usr/bin/env bash
# curl against every class of error: the status, and OpenAI's error object. Starts servers of its own,
# for each class needs its own circumstances. Arguments: URL (not used), model directory (not used),
# the program.
set -uo pipefail
program=$3
folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; rm -rf "$folder"' EXIT
failures=0
count=0

# start NAME OPTIONS...: a server; its address goes to $url.
start() {
  local log=$folder/$1.log; : >"$log"
  shift
  "$program" serve --host 127.0.0.1 --port 0 --no-access-log "$@" 2>"$log" &
  pids+=($!)
  until grep -q '^ready: ' "$log"; do
    kill -0 "${pids[-1]}" 2>/dev/null || { cat "$log"; exit 1; }
    sleep 0.1
  done
  url=$(sed -n 's/^listening on //p' "$log" | head -1)
}

# check STATUS CODE CURL-ARGUMENTS...: CODE is error.code, or "-" where the HTTP layer has none of ours.
check() {
  local want=$1 code=$2 got
  shift 2
  count=$((count + 1))
  got=$(curl -s -o "$folder/body" -w '%{http_code}' --max-time 60 "$@")
  if [[ $got != "$want" ]]; then
    echo "expected $want, got $got: curl $*" | cut -c1-300
    head -c 300 "$folder/body"; echo
    failures=$((failures + 1))
    return
  fi
  [[ $want == 2* ]] && return
  cp "$folder/body" "$folder/error-$count-$code"
}

# The bodies that check() has put aside: one line for each that is no error object of that code.
check_bodies() {
  python3 - "$folder" <<'PYTHON'
import json, pathlib, sys
for path in sorted(pathlib.Path(sys.argv[1]).glob("error-*")):
    code = path.name.split("-", 2)[2]
    text = path.read_text(errors="replace")
    try:
        error = json.loads(text)["error"]
        right = (isinstance(error["message"], str) and error["message"] and isinstance(error["type"], str)
                 and {"message", "type", "param", "code"} <= set(error) and code in ("-", error["code"]))
    except (ValueError, KeyError, TypeError):
        right = False
    if not right:
        print(f"expected an error object with code {code}, got: {text[:300]}")
PYTHON
}

json=(-H 'content-type: application/json')
chat() { printf '{"messages":[{"role":"user","content":"Hi"}]%s}' "${1:-}"; }

start open -m nano --max-body 1
chats=$url/v1/chat/completions
check 200 - "$url/health"
check 200 - "${json[@]}" -d "$(chat ',"max_tokens":1')" "$chats"
check 400 - "${json[@]}" -d '{"messages":' "$chats"
check 400 - "${json[@]}" -d '{"a":1,"a":2}' "$chats"
check 400 - "${json[@]}" -d '{}' "$chats"
check 400 - "${json[@]}" -d "$(chat ',"temperature":"hot"')" "$chats"
check 400 - "${json[@]}" -d "$(chat ',"n":9')" "$chats"
check 400 - "${json[@]}" --data-binary $'{"messages":[{"role":"user","content":"\xff"}]}' "$chats"
check 400 invalid_grammar "${json[@]}" -d "$(chat ',"response_format":{"type":"structural_tag"}')" "$chats"
check 400 context_length_exceeded "${json[@]}" -d "$(chat ',"max_tokens":1000000')" "$chats"
grep -q 'maximum context length' "$folder/body" || { echo "the context error lacks its words"; failures=$((failures + 1)); }
check 400 unsupported_endpoint "${json[@]}" -d '{"input":"a"}' "$url/v1/embeddings"
check 403 - "${json[@]}" -H 'origin: https://evil.example' -d "$(chat)" "$chats"
check 403 - "${json[@]}" -H 'sec-fetch-site: cross-site' -d "$(chat)" "$chats"
check 404 model_not_found "${json[@]}" -d "$(chat ',"model":"gpt-4"')" "$chats"
check 404 model_not_found "$url/v1/models/gpt-4"
check 404 unknown_url "$url/v1/nothing"
check 404 unknown_url "$url/v1/traces"
check 405 - -X PUT "${json[@]}" -d '{}' "$chats"
check 405 - "$chats"
head -c 1100000 /dev/zero | tr '\0' ' ' >"$folder/large"
check 413 - "${json[@]}" -H 'expect:' --data-binary "@$folder/large" "$chats"
check 414 - "$url/$(head -c 5000 /dev/zero | tr '\0' a)"
check 415 - -H 'content-type: text/plain' -d "$(chat)" "$chats"
check 415 - "${json[@]}" -H 'content-encoding: gzip' -d "$(chat)" "$chats"
check 417 - "${json[@]}" -H 'expect: something' -d "$(chat)" "$chats"
check 421 - -H 'host: evil.example' "$url/v1/models"
check 200 - -H 'host: evil.example' "$url/health" # a balancer's probe names no host of ours
check 431 - -H "x-large: $(head -c 17000 /dev/zero | tr '\0' a)" "$url/health"

# 429: one runs, one waits, the third is told when to come again. The reference backend takes its time, so
# that all three meet however slowly they are started.
start full -m nano-moe --backend reference --max-waiting 1 --max-sequences 1
clients=()
for i in 1 2 3; do
  curl -s -N -D "$folder/full-head-$i" -o "$folder/full-body-$i" --max-time 120 "${json[@]}" \
    -d "$(chat ',"stream":true,"ignore_eos":true,"loop_guard":false,"max_tokens":2000')" "$url/v1/chat/completions" &
  clients+=($!)
done
busy=
for _ in $(seq 600); do
  busy=$(grep -l '^HTTP/1.1 429' "$folder"/full-head-* 2>/dev/null | head -1)
  [[ -n $busy ]] && break
  sleep 0.1
done
sleep 0.2 # the body follows the head
count=$((count + 1))
if [[ -n $busy ]] && grep -qi '^retry-after: ' "$busy" && grep -q server_busy "${busy/head/body}"; then :; else
  echo "no 429 with Retry-After from a full queue"; failures=$((failures + 1))
fi
kill "${clients[@]}" 2>/dev/null

# 401, and 429 for too many wrong keys.
(umask 077; printf 'mine:%s\n' "$(head -c 32 /dev/zero | tr '\0' k)" >"$folder/keys")
start keyed -m nano --api-key-file "$folder/keys" --request-seconds 1
key=(-H "authorization: Bearer $(head -c 32 /dev/zero | tr '\0' k)")
check 200 - "$url/health"
check 401 invalid_api_key "$url/v1/models"
check 401 invalid_api_key -H 'authorization: Bearer wrong' "$url/v1/models"
check 401 invalid_api_key "$url/v1/models?api_key=$(head -c 32 /dev/zero | tr '\0' k)"
check 200 - "${key[@]}" "$url/v1/models"
check 200 - -H "x-api-key: $(head -c 32 /dev/zero | tr '\0' k)" "$url/v1/models"
curl -s -o /dev/null -H 'authorization: Bearer wrong' "$url/v1/models?[1-25]" # one process: within the minute that counts
check 429 too_many_failures -H 'authorization: Bearer wrong' "$url/v1/models"

# 408: the reference backend does not finish two thousand tokens in a second.
start slow -m nano-moe --backend reference --request-seconds 1
check 408 request_timeout "${json[@]}" -d "$(chat ',"ignore_eos":true,"max_tokens":2000')" "$url/v1/chat/completions"

# Told to stop, it leaves no stream without a last word: the end, or an error when the time is up.
start draining -m nano --drain-seconds 2
curl -s -N -o "$folder/stream" --max-time 60 "${json[@]}" -d "$(chat ',"stream":true,"ignore_eos":true,"loop_guard":false,"max_tokens":2000')" "$url/v1/chat/completions" &
until [[ -s $folder/stream ]]; do sleep 0.05; done
kill -TERM "${pids[-1]}"
wait "${pids[-1]}"
code=$?
count=$((count + 1))
if [[ $code == 0 ]] && grep -qE '^data: (\[DONE\]|\{"error":)' "$folder/stream"; then :; else
  echo "draining: exit code $code, stream ends: $(tail -c 200 "$folder/stream")"; failures=$((failures + 1))
fi

wrong=$(check_bodies)
[[ -z $wrong ]] || { echo "$wrong"; failures=$((failures + $(wc -l <<<"$wrong"))); }
echo "$count checks, $failures failures"
exit $((failures > 0))
