#!/usr/bin/env bash
# Which mentor answers, and with which prompt: in Korean, then in English with what is known besides.
set -euo pipefail

ask() {
  curl -sS --fail-with-body "${ION_URL:-http://127.0.0.1:8000}/api/v2/process" \
    -H "X-API-Key: ${ION_API_KEY:-}" -H "Content-Type: application/json" -d "$1"
  echo
}

ask '{"user_input": "배포가 또 실패했어요. 어떻게 해야 하죠?"}'
ask '{
  "user_input": "My build fails and I do not know why.",
  "resonance_key": {"tone": "frustrated", "pace": "burst", "intent": "problem_solving"},
  "context": {"session_id": "s-1", "message_history": [{"role": "user", "content": "Yesterday it worked."}]}
}'
