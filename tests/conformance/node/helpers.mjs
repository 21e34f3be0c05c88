// The high-level helpers of the published Node clients, against each model; prints what came of each as JSON.
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const apiKey = process.env.ROUTEPLEX_KEY;
const openai = new OpenAI({ baseURL: process.env.ROUTEPLEX_URL + "/v1", apiKey, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: process.env.ROUTEPLEX_URL, apiKey, maxRetries: 0 });

const City = z.object({ name: z.string(), people: z.number() });
const describe = [{ role: "user", content: "Describe Paris as a city." }];
const question = [{ role: "user", content: "What is the capital of France?" }];
const weather = [{ role: "user", content: "What is the weather in Paris? Use the get weather tool." }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

function expect(what, kept) {
  if (!kept) throw new Error(`not as expected: ${JSON.stringify(what)}`);
}

// Each runs its tool itself; the text after must come from the tool.
function runTools(model, more) {
  let city = null;
  const tool = {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather in a city",
      parameters,
      parse: JSON.parse,
      function: (given) => {
        city = given.city;
        return "21 degrees";
      },
    },
  };
  const runner = openai.chat.completions.runTools({ model, messages: weather, tools: [tool], ...more });
  return { runner, city: () => city };
}

const helpers = {
  "`chat.completions.parse`": async (model) => {
    const response_format = zodResponseFormat(City, "city");
    const answer = await openai.chat.completions.parse({ model, messages: describe, response_format });
    expect(answer.choices[0].message.parsed, typeof answer.choices[0].message.parsed?.people === "number");
  },
  "`chat.completions.stream`": async (model) => {
    const stream = openai.chat.completions.stream({ model, messages: question });
    let text = "";
    stream.on("content", (delta) => (text += delta));
    const answer = await stream.finalChatCompletion();
    expect([text, answer], text && answer.choices[0].message.content === text);
  },
  "`chat.completions.runTools`": async (model) => {
    const { runner, city } = runTools(model, {});
    const text = await runner.finalContent();
    expect([text, city()], text.includes("21 degrees") && city() === "Paris");
  },
  "`chat.completions.runTools`, streamed": async (model) => {
    const { runner, city } = runTools(model, { stream: true });
    const text = await runner.finalContent();
    expect([text, city()], text.includes("21 degrees") && city() === "Paris");
  },
  "`responses.parse`": async (model) => {
    const text = { format: zodTextFormat(City, "city") };
    const answer = await openai.responses.parse({ model, input: describe, text });
    expect(answer.output_parsed, typeof answer.output_parsed?.people === "number");
  },
  "`responses.stream`": async (model) => {
    const stream = openai.responses.stream({ model, input: question });
    let text = "";
    stream.on("response.output_text.delta", (event) => (text += event.delta));
    const answer = await stream.finalResponse();
    expect([text, answer], text && answer.output_text === text);
  },
  "`messages.parse`": async (model) => {
    const output_config = { format: zodOutputFormat(City) };
    const answer = await anthropic.messages.parse({ model, max_tokens: 1024, messages: describe, output_config });
    expect(answer.parsed_output, typeof answer.parsed_output?.people === "number");
  },
  "`messages.stream`": async (model) => {
    const stream = anthropic.messages.stream({ model, max_tokens: 1024, messages: question });
    let text = "";
    stream.on("text", (delta) => (text += delta));
    const answer = await stream.finalMessage();
    expect([text, answer], text && answer.content[0].text === text);
  },
  "`beta.messages.toolRunner`": async (model) => {
    const text = await toolRunner(model, {});
    expect(text, text.includes("21 degrees"));
  },
  "`beta.messages.toolRunner`, streamed": async (model) => {
    const text = await toolRunner(model, { stream: true });
    expect(text, text.includes("21 degrees"));
  },
};

async function toolRunner(model, more) {
  const run = () => "21 degrees";
  const tool = betaTool({ name: "get_weather", description: "The weather", inputSchema: parameters, run });
  const runner = anthropic.beta.messages.toolRunner({
    model,
    max_tokens: 1024,
    messages: weather,
    tools: [tool],
    ...more,
  });
  const message = await runner;
  return message.content.find((block) => block.type === "text")?.text ?? "";
}

const outcome = {};
for (const [name, helper] of Object.entries(helpers)) {
  outcome[name] = {};
  for (const model of process.env.MODELS.split(",")) {
    try {
      await helper(model);
      outcome[name][model] = "yes";
    } catch (error) {
      outcome[name][model] = `${error.constructor.name}: ${error.message}`;
    }
  }
}
console.log(JSON.stringify(outcome));
process.exit(0);
