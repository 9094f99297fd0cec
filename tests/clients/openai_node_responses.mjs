// The official Node client's Responses API: plain, stream helper, tools.
import assert from "node:assert";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "EMPTY", maxRetries: 0 });
const model = "nano-moe";
const input = "What is 12 + 30?";
const tools = [{ type: "function", name: "get_weather", description: "Weather of a city", strict: false,
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } }];

const plain = await client.responses.create({ model, temperature: 0, input });
assert.match(plain.output_text, /42/);

const kinds = [];
const stream = client.responses.stream({ model, temperature: 0, input });
for await (const event of stream) kinds.push(event.type);
const final = await stream.finalResponse();
assert.equal(final.output_text, plain.output_text);
assert.equal(kinds[0], "response.created");
assert.equal(kinds.at(-1), "response.completed");

const calling = client.responses.stream({ model, temperature: 0, tools, reasoning: { effort: "none" },
  input: "What is the weather in Paris?" });
const called = await calling.finalResponse();
assert.equal(called.output[0].type, "function_call");
assert.deepEqual(JSON.parse(called.output[0].arguments), { city: "Paris" });

// A cut answer is a response, too.
const cut = client.responses.stream({ model, temperature: 0, input, max_output_tokens: 2 });
assert.equal((await cut.finalResponse()).status, "incomplete");
console.log("answer:", final.output_text, "| events:", kinds.length, "| tool call:", called.output[0].arguments);
