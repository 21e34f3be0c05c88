// Vercel's AI SDK with base URL and key alone: a tool, a structured answer and a stream; prints what came of them.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { createOpenRouter } from "@openrouter/ai-sdk-provider";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const baseURL = process.env.ROUTEPLEX_URL, apiKey = process.env.ROUTEPLEX_KEY, name = process.env.ROUTEPLEX_MODEL;
const openai = createOpenAI({ baseURL, apiKey });
const models = {
  compatible: createOpenAICompatible({ name: "routeplex", baseURL, apiKey, supportsStructuredOutputs: true })(name),
  chat: openai.chat(name),
  responses: openai.responses(name),
  messages: createAnthropic({ baseURL, apiKey })(name),
  openrouter: createOpenRouter({ baseURL, apiKey })(name),
};
const tools = {
  get_weather: tool({
    description: "The weather in a city, now.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `It is 21 degrees in ${city}.`,
  }),
};
const City = z.object({ name: z.string(), people: z.number().int() });
const outcome = {};
for (const [door, model] of Object.entries(models)) {
  const used = await generateText({
    model, tools, stopWhen: stepCountIs(3),
    prompt: process.env.QUESTION,
  });
  const second = await generateText({
    model, tools,
    messages: [
      { role: "user", content: process.env.QUESTION }, ...used.response.messages,
      { role: "user", content: process.env.THANKS },
    ],
  });
  const structured = await generateText({
    model, output: Output.object({ schema: City }), prompt: "Describe Paris as a city.",
  });
  const stream = streamText({ model, prompt: process.env.LONG });
  const parts = [];
  for await (const part of stream.textStream) parts.push(part);
  const streamedTool = streamText({
    model, tools, stopWhen: stepCountIs(3),
    prompt: process.env.QUESTION,
  });
  outcome[door] = {
    tool: used.text, steps: used.steps.length, second: second.text, structured: structured.output, streamed: parts.join(""),
    parts: parts.length, tokens: (await stream.usage).outputTokens, streamedTool: await streamedTool.text,
  };
}
console.log(JSON.stringify(outcome));
