// Which mentor suits a situation, before anything is asked of them.
const url = process.env.ION_URL ?? "http://127.0.0.1:8000";
const key = process.env.ION_API_KEY;

for (const scenario of ["팀원들과 함께 이번 분기 계획을 세워야 해요.", "I have to plan a migration with my team."]) {
  const response = await fetch(`${url}/api/v2/recommend`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...(key && { "X-API-Key": key }) },
    body: JSON.stringify({ scenario }),
  });
  const found = await response.json();
  console.log(found.recommended_persona, found.scores, found.capabilities.strengths);
}
