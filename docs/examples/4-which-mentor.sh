#!/usr/bin/env bash
# Which mentor suits a situation, before anything is asked of them.
set -euo pipefail

for scenario in "팀원들과 함께 이번 분기 계획을 세워야 해요." "I have to plan a migration with my team."; do
  curl -sS --fail-with-body "${ION_URL:-http://127.0.0.1:8000}/api/v2/recommend" \
    -H "X-API-Key: ${ION_API_KEY:-}" -H "Content-Type: application/json" -d "{\"scenario\": \"$scenario\"}"
  echo
done
