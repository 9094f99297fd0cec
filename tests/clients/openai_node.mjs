// The official Node client: plain, stream, stream helper, tools.
import assert from "node:assert";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "EMPTY", maxRetries: 0 });
const model = "nano-moe";
const question = [{ role: "user", content: "What is 12 + 30?" }];
const weather = [{ role: "user", content: "What is the weather in Paris?" }];
const tools = [{ type: "function", function: { name: "get_weather", description: "Weather of a city",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } } }];
const quiet = { chat_template_kwargs: { enable_thinking: false } };

const plain = await client.chat.completions.create({ model, temperature: 0, messages: question });
assert.match(plain.choices[0].message.content, /42/);

let text = "";
for await (const chunk of await client.chat.completions.create(
  { model, temperature: 0, messages: question, stream: true, stream_options: { include_usage: true } })) {
  text += chunk.choices[0]?.delta?.content ?? "";
}
assert.equal(text, plain.choices[0].message.content);

const runner = client.chat.completions.stream({ model, temperature: 0, messages: question });
assert.equal((await runner.finalChatCompletion()).choices[0].message.content, text);

const calling = client.chat.completions.stream({ model, temperature: 0, messages: weather, tools, ...quiet });
const final = await calling.finalChatCompletion();
assert.equal(final.choices[0].finish_reason, "tool_calls");
assert.equal(final.choices[0].message.tool_calls[0].function.name, "get_weather");
assert.deepEqual(JSON.parse(final.choices[0].message.tool_calls[0].function.arguments), { city: "Paris" });

// The helper calls the function, sends its result and gets the last answer.
let asked = null;
const tooled = client.chat.completions.runTools({
  model, temperature: 0, messages: weather, stream: true, ...quiet,
  tools: [{ type: "function", function: { ...tools[0].function, parse: JSON.parse,
    function: ({ city }) => { asked = city; return "sunny"; } } }] });
assert.ok(await tooled.finalContent());
assert.equal(asked, "Paris");

await assert.rejects(client.chat.completions.create({ model: "gpt-4", messages: question }), OpenAI.NotFoundError);

await assert.rejects(
  client.chat.completions.create({ model, messages: question, response_format: { type: "structural_tag" } }),
  (error) => error instanceof OpenAI.BadRequestError && error.param === "response_format");
console.log("answer:", text, "| tool call:", final.choices[0].message.tool_calls[0].function.arguments);
