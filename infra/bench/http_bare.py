"""What the gateway is compared with: FastAPI as its tutorial has it, which checks the same body and no more.

``uvicorn infra.bench.http_bare:app`` serves it, on the same event loop and HTTP parser as the gateway.
"""

from fastapi import FastAPI

from producers.gateway.schemas import ProcessRequest

app = FastAPI()


@app.post("/process")
async def process(body: ProcessRequest) -> dict[str, object]:
    """Tell that the body is a valid one."""
    return {"success": True, "characters": len(body.user_input)}
