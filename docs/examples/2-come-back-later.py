# A job that nobody waits for: it is accepted at once (202), followed to its end, and looked at.
import json
import os
import uuid

import httpx

url, key = os.environ.get("ION_URL", "http://127.0.0.1:8000"), os.environ.get("ION_API_KEY")

with httpx.Client(base_url=url, headers={"X-API-Key": key} if key else {}) as gateway:
    accepted = gateway.post(
        "/api/v2/process",
        json={"user_input": "함께 계획을 세워 봐요."},
        headers={"Prefer": "respond-async", "Idempotency-Key": str(uuid.uuid4())},
    ).raise_for_status()
    location = accepted.headers["Location"]
    print(accepted.status_code, location)

    with gateway.stream("GET", f"{location}/events", timeout=60) as events:  # comments come every 15 s
        for line in events.iter_lines():
            if line.startswith("data: "):
                print(json.loads(line.removeprefix("data: "))["status"])

    job = gateway.get(location).raise_for_status().json()  # any process can ask, for an hour
    print(job["result"]["persona_used"] if job["success"] else job["error"])
