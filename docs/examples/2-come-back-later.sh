#!/usr/bin/env bash
# A job that nobody waits for: it is accepted at once (202), followed to its end, and looked at.
set -euo pipefail
url=${ION_URL:-http://127.0.0.1:8000}

location=$(curl -sS --fail-with-body "$url/api/v2/process" -o /dev/null -D - \
  -H "X-API-Key: ${ION_API_KEY:-}" -H "Content-Type: application/json" \
  -H "Prefer: respond-async" -H "Idempotency-Key: order-17-$$" \
  -d '{"user_input": "함께 계획을 세워 봐요."}' | tr -d '\r' | sed -n 's/^location: //p')

curl -sS --fail-with-body --no-buffer "$url$location/events" -H "X-API-Key: ${ION_API_KEY:-}"  # until it ends
curl -sS --fail-with-body "$url$location" -H "X-API-Key: ${ION_API_KEY:-}"
