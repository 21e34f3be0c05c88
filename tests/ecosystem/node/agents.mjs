// OpenAI's Agents SDK: a tool, a second turn, a structured answer, a stream and a streamed tool, by both of OpenAI's APIs.
import { Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, run, setTracingDisabled, tool } from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";

setTracingDisabled(true);
const client = new OpenAI({ baseURL: process.env.ROUTEPLEX_URL, apiKey: process.env.ROUTEPLEX_KEY });
const getWeather = tool({
  name: "get_weather", description: "The weather in a city, now.", parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => `It is 21 degrees in ${city}.`,
});
const City = z.object({ name: z.string(), people: z.number().int() });
const outcome = {};
for (const [door, Model] of [["chat", OpenAIChatCompletionsModel], ["responses", OpenAIResponsesModel]]) {
  const model = new Model(client, process.env.ROUTEPLEX_MODEL);
  const weather = new Agent({ name: "Weather", model, tools: [getWeather] });
  const first = await run(weather, process.env.QUESTION);
  const called = first.newItems.filter((item) => item.type === "tool_call_item").map((item) => item.rawItem.name);
  const second = await run(weather, [...first.history, { role: "user", content: process.env.THANKS }]);
  const atlas = new Agent({ name: "Atlas", model, outputType: City });
  const structured = (await run(atlas, "Describe Paris as a city.")).finalOutput;
  const stream = await run(new Agent({ name: "Teacher", model }), process.env.LONG, { stream: true });
  let streamed = "", parts = 0;
  for await (const text of stream.toTextStream()) {
    streamed += text;
    parts += 1;
  }
  const loop = await run(weather, process.env.QUESTION, { stream: true });
  for await (const _ of loop.toTextStream());
  const after = await run(weather, [...loop.history, { role: "user", content: process.env.THANKS }], { stream: true });
  for await (const _ of after.toTextStream());
  outcome[door] = {
    called, tool: first.finalOutput, second: second.finalOutput, structured, streamed, parts, final: stream.finalOutput,
    loop: loop.finalOutput, after: after.finalOutput,
  };
}
console.log(JSON.stringify(outcome));
