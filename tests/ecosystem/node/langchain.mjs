// LangChain JS with base URL and key alone: a tool, a second turn, a structured answer and a stream.
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";

const baseURL = process.env.ROUTEPLEX_URL, apiKey = process.env.ROUTEPLEX_KEY, model = process.env.ROUTEPLEX_MODEL;
const weather = tool(async ({ city }) => `It is 21 degrees in ${city}.`, {
  name: "get_weather", description: "The weather in a city, now.", schema: z.object({ city: z.string() }),
});
const City = z.object({ name: z.string(), people: z.number().int() });
const outcome = {};
for (const [door, useResponsesApi] of [["chat", false], ["responses", true]]) {
  const chat = new ChatOpenAI({ model, apiKey, useResponsesApi, configuration: { baseURL } });
  const bound = chat.bindTools([weather]);
  const messages = [new HumanMessage(process.env.QUESTION)];
  const first = await bound.invoke(messages);
  messages.push(first);
  for (const call of first.tool_calls)
    messages.push(new ToolMessage({ content: await weather.invoke(call.args), tool_call_id: call.id }));
  const answer = await bound.invoke(messages);
  messages.push(answer, new HumanMessage(process.env.THANKS));
  const second = await bound.invoke(messages);
  const structured = await chat.withStructuredOutput(City, { name: "city" }).invoke("Describe Paris as a city.");
  let streamed = "", parts = 0;
  for await (const chunk of await chat.stream(process.env.LONG)) {
    streamed += chunk.text;
    parts += 1;
  }
  outcome[door] = {
    called: first.tool_calls.map((call) => call.name), tool: answer.text, second: second.text, structured, streamed,
    parts, tokens: answer.usage_metadata.output_tokens,
  };
}
console.log(JSON.stringify(outcome));
