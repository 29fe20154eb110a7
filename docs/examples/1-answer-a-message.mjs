// Which mentor answers, and with which prompt: in Korean, then in English with what is known besides.
const url = process.env.ION_URL ?? "http://127.0.0.1:8000";
const key = process.env.ION_API_KEY;

async function ask(request) {
  const response = await fetch(`${url}/api/v2/process`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...(key && { "X-API-Key": key }) },
    body: JSON.stringify(request),
  });
  const body = await response.json();
  if (!response.ok) throw new Error(`${body.error.code}: ${body.error.message}`);
  return body;
}

const korean = await ask({ user_input: "배포가 또 실패했어요. 어떻게 해야 하죠?" });
console.log(korean.persona_used, korean.resonance_key);
console.log(korean.content);

const english = await ask({
  user_input: "My build fails and I do not know why.",
  resonance_key: { tone: "frustrated", pace: "burst", intent: "problem_solving" },
  context: { message_history: [{ role: "user", content: "Yesterday it worked." }] },
});
console.log(english.persona_used, english.confidence, english.routing.reasoning);
