# Which mentor answers, and with which prompt: in Korean, then in English with what is known besides.
import os

import httpx

url, key = os.environ.get("ION_URL", "http://127.0.0.1:8000"), os.environ.get("ION_API_KEY")

with httpx.Client(base_url=url, headers={"X-API-Key": key} if key else {}) as gateway:
    response = gateway.post("/api/v2/process", json={"user_input": "배포가 또 실패했어요. 어떻게 해야 하죠?"})
    answer = response.raise_for_status().json()
    print(answer["persona_used"], answer["resonance_key"])
    print(answer["content"])

    response = gateway.post(
        "/api/v2/process",
        json={
            "user_input": "My build fails and I do not know why.",
            "resonance_key": {"tone": "frustrated", "pace": "burst", "intent": "problem_solving"},
            "context": {"message_history": [{"role": "user", "content": "Yesterday it worked."}]},
        },
        headers={"Prefer": "wait=10"},
    )
    answer = response.raise_for_status().json()
    print(answer["persona_used"], answer["confidence"], answer["routing"]["reasoning"])
