// What is refused says which field and what to do; what is refused for now (429, 503) says when to come again.
const url = process.env.ION_URL ?? "http://127.0.0.1:8000";
const key = process.env.ION_API_KEY;

async function ask(request, tries = 5) {
  const headers = {
    "Content-Type": "application/json",
    "Idempotency-Key": crypto.randomUUID(), // an answer that was lost on the way is not made twice
    ...(key && { "X-API-Key": key }),
  };
  for (let left = tries - 1; ; left--) {
    const response = await fetch(`${url}/api/v2/process`, { method: "POST", headers, body: JSON.stringify(request) });
    if (![429, 503].includes(response.status) || !left) return response;
    const seconds = Number(response.headers.get("Retry-After") ?? 1);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  }
}

const smug = { tone: "smug", pace: "medium", intent: "learning" };
const refused = await ask({ user_input: "Hello", resonance_key: smug });
const { error } = await refused.json();
console.log(refused.status, error.code, error.field, error.message);
console.log((await (await ask({ user_input: "다음에는 무엇을 배우면 좋을까요?" })).json()).persona_used);
