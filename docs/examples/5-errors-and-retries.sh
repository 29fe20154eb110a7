#!/usr/bin/env bash
# What is refused says which field and what to do; what is refused for now (429, 503) says when to come again.
set -euo pipefail
url=${ION_URL:-http://127.0.0.1:8000}

curl -sS "$url/api/v2/process" -H "X-API-Key: ${ION_API_KEY:-}" -H "Content-Type: application/json" \
  -d '{"user_input": "Hello", "resonance_key": {"tone": "smug", "pace": "medium", "intent": "learning"}}'
echo

# --retry heeds Retry-After; the key makes sure that a request whose answer was lost is not done twice.
curl -sS --fail-with-body --retry 5 "$url/api/v2/process" \
  -H "X-API-Key: ${ION_API_KEY:-}" -H "Content-Type: application/json" -H "Idempotency-Key: order-18-$$" \
  -d '{"user_input": "다음에는 무엇을 배우면 좋을까요?"}'
