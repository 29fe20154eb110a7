// A job that nobody waits for: it is accepted at once (202), followed to its end, and looked at.
const url = process.env.ION_URL ?? "http://127.0.0.1:8000";
const key = process.env.ION_API_KEY;
const known = key ? { "X-API-Key": key } : {};

const accepted = await fetch(`${url}/api/v2/process`, {
  method: "POST",
  headers: {
    ...known,
    "Content-Type": "application/json",
    Prefer: "respond-async",
    "Idempotency-Key": crypto.randomUUID(),
  },
  body: JSON.stringify({ user_input: "함께 계획을 세워 봐요." }),
});
const location = accepted.headers.get("Location");
console.log(accepted.status, location);

const events = await fetch(`${url}${location}/events`, { headers: known }); // or an EventSource, in a browser
let heard = "";
for await (const part of events.body.pipeThrough(new TextDecoderStream())) {
  heard += part;
  const whole = heard.split("\n\n");
  heard = whole.pop();
  for (const event of whole) {
    const data = event.split("\n").find((line) => line.startsWith("data: "));
    if (data) console.log(JSON.parse(data.slice("data: ".length)).status);
  }
}

const job = await (await fetch(`${url}${location}`, { headers: known })).json(); // any process can ask, for an hour
console.log(job.success ? job.result.persona_used : job.error);
