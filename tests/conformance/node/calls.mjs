// Drives RoutePlex with the published `openai` client for Node and prints what came back as JSON.
import OpenAI from "openai";

const baseURL = process.env.ROUTEPLEX_URL + "/v1";
const client = new OpenAI({ baseURL, apiKey: process.env.ROUTEPLEX_KEY, maxRetries: 0 });
const messages = [{ role: "user", content: "What is the capital of France?" }];

async function nameOfError(call) {
  try {
    await call();
    return null;
  } catch (error) {
    return error.constructor.name;
  }
}

const completion = await client.chat.completions.create({ model: "routeplex-ai", messages });

let streamed = "";
let usage = null;
for await (const chunk of await client.chat.completions.create({ model: "routeplex-ai", messages, stream: true })) {
  streamed += chunk.choices[0].delta.content ?? "";
  usage = chunk.usage ?? usage;
}

const { response } = await client.chat.completions.create({ model: "routeplex-ai:cost", messages }).withResponse();
const models = await client.models.list();
const stranger = new OpenAI({ baseURL, apiKey: "rp_live_wrong", maxRetries: 0 });

console.log(
  JSON.stringify({
    content: completion.choices[0].message.content,
    streamed,
    streamedTokens: usage?.total_tokens,
    strategy: response.headers.get("x-routeplex-strategy"),
    firstModel: models.data[0].id,
    errors: {
      key: await nameOfError(() => stranger.chat.completions.create({ model: "routeplex-ai", messages })),
      model: await nameOfError(() => client.chat.completions.create({ model: "nobody-knows", messages })),
      unknown: await nameOfError(() => client.models.retrieve("nobody-knows")),
      empty: await nameOfError(() => client.chat.completions.create({ model: "routeplex-ai", messages: [] })),
    },
  }),
);
