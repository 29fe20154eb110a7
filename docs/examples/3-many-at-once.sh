#!/usr/bin/env bash
# Up to 100 messages in one request: each is answered or refused by itself, in their order.
set -euo pipefail

curl -sS --fail-with-body "${ION_URL:-http://127.0.0.1:8000}/api/v2/bulk-process" \
  -H "X-API-Key: ${ION_API_KEY:-}" -H "Content-Type: application/json" -d '{
  "requests": [
    {"user_input": "배포가 또 실패했어요. 어떻게 해야 하죠?"},
    {"user_input": "What should I learn next?"},
    {"user_input": ""}
  ]
}'
