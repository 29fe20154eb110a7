// Up to 100 messages in one request: each is answered or refused by itself, in their order.
const url = process.env.ION_URL ?? "http://127.0.0.1:8000";
const key = process.env.ION_API_KEY;
const messages = ["배포가 또 실패했어요. 어떻게 해야 하죠?", "What should I learn next?", ""];

const response = await fetch(`${url}/api/v2/bulk-process`, {
  method: "POST",
  headers: { "Content-Type": "application/json", ...(key && { "X-API-Key": key }) },
  body: JSON.stringify({ requests: messages.map((user_input) => ({ user_input })) }),
});
const bulk = await response.json();
console.log(`${bulk.successful} of ${bulk.total} answered`);
for (const result of bulk.results) {
  console.log(result.success ? result.persona_used : result.error);
}
