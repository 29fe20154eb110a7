# Which mentor suits a situation, before anything is asked of them.
import os

import httpx

url, key = os.environ.get("ION_URL", "http://127.0.0.1:8000"), os.environ.get("ION_API_KEY")

situations = ["팀원들과 함께 이번 분기 계획을 세워야 해요.", "I have to plan a migration with my team."]

with httpx.Client(base_url=url, headers={"X-API-Key": key} if key else {}) as gateway:
    for scenario in situations:
        response = gateway.post("/api/v2/recommend", json={"scenario": scenario})
        found = response.raise_for_status().json()
        print(found["recommended_persona"], found["scores"], found["capabilities"]["strengths"])
