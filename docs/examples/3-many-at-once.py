# Up to 100 messages in one request: each is answered or refused by itself, in their order.
import os

import httpx

url, key = os.environ.get("ION_URL", "http://127.0.0.1:8000"), os.environ.get("ION_API_KEY")
messages = ["배포가 또 실패했어요. 어떻게 해야 하죠?", "What should I learn next?", ""]

with httpx.Client(base_url=url, headers={"X-API-Key": key} if key else {}) as gateway:
    response = gateway.post("/api/v2/bulk-process", json={"requests": [{"user_input": m} for m in messages]})
    bulk = response.raise_for_status().json()
    print(f"{bulk['successful']} of {bulk['total']} answered")
    for result in bulk["results"]:
        print(result["persona_used"] if result["success"] else result["error"])
