// The server side of a chat page (`useChat`) with Vercel's AI SDK: three turns, the first two with a tool.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenRouter } from "@openrouter/ai-sdk-provider";
import { convertToModelMessages, readUIMessageStream, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const baseURL = process.env.ROUTEPLEX_URL, apiKey = process.env.ROUTEPLEX_KEY, name = process.env.ROUTEPLEX_MODEL;
const openai = createOpenAI({ baseURL, apiKey });
const doors = {
  default: [openai(name), { openai: { reasoningEffort: "low", reasoningSummary: "auto" } }],
  unstored: [openai(name), { openai: { reasoningEffort: "low", store: false, include: ["reasoning.encrypted_content"] } }],
  chat: [openai.chat(name), { openai: { reasoningEffort: "low" } }],
  messages: [
    createAnthropic({ baseURL, apiKey })(name), { anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } } },
  ],
  openrouter: [createOpenRouter({ baseURL, apiKey })(name), { openrouter: { reasoning: { effort: "low" } } }],
};
const tools = {
  get_weather: tool({
    description: "The weather in a city, now.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `It is 21 degrees in ${city}.`,
  }),
};
const outcome = {};
for (const [door, [model, providerOptions]] of Object.entries(doors)) {
  const messages = [], errors = [];
  const turn = async (text) => {
    messages.push({ id: `u${messages.length}`, role: "user", parts: [{ type: "text", text }] });
    const result = streamText({
      model, tools, providerOptions, stopWhen: stepCountIs(3), messages: await convertToModelMessages(messages),
      onError: ({ error }) => errors.push(String(error?.message ?? error)),
    });
    const stream = result.toUIMessageStream({ originalMessages: messages, sendReasoning: true });
    let last;
    for await (const message of readUIMessageStream({ stream, terminateOnError: false })) last = message;
    if (last) messages.push(last);
    const parts = last?.parts ?? [];
    return parts.filter((part) => part.type === "text").map((part) => part.text).join("");
  };
  outcome[door] = {
    first: await turn(process.env.QUESTION), second: await turn(process.env.QUESTION),
    third: await turn(process.env.THANKS), errors,
  };
}
console.log(JSON.stringify(outcome));
