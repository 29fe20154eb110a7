# What is refused says which field and what to do; what is refused for now (429, 503) says when to come again.
import os
import time
import uuid

import httpx

url, key = os.environ.get("ION_URL", "http://127.0.0.1:8000"), os.environ.get("ION_API_KEY")


def ask(gateway: httpx.Client, request: dict, tries: int = 5) -> httpx.Response:
    headers = {"Idempotency-Key": str(uuid.uuid4())}  # an answer that was lost on the way is not made twice
    while True:
        response = gateway.post("/api/v2/process", json=request, headers=headers)
        tries -= 1
        if response.status_code not in (429, 503) or not tries:
            return response
        time.sleep(float(response.headers.get("Retry-After", 1)))


with httpx.Client(base_url=url, headers={"X-API-Key": key} if key else {}) as gateway:
    smug = {"tone": "smug", "pace": "medium", "intent": "learning"}
    response = ask(gateway, {"user_input": "Hello", "resonance_key": smug})
    error = response.json()["error"]
    print(response.status_code, error["code"], error["field"], error["message"])
    print(ask(gateway, {"user_input": "다음에는 무엇을 배우면 좋을까요?"}).json()["persona_used"])
