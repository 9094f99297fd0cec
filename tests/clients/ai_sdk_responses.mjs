// The AI SDK over /v1/responses by both of its providers, and over chats: text whole and streamed, a tool with its result
// in between, objects.
import assert from "node:assert/strict";
import { createOpenResponses } from "@ai-sdk/open-responses";
import { createOpenAI } from "@ai-sdk/openai";
import { generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const url = process.argv[2];
const rounds = Number(process.env.ROUNDS ?? 10);
const Weather = z.object({ city: z.enum(["Paris", "Rome"]), degrees: z.number().int().min(-50).max(60) });
const get_weather = tool({
  description: "Weather of a city", inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}` });
const openai = createOpenAI({ baseURL: url, apiKey: "EMPTY" });
const open = createOpenResponses({ name: "qwen3", url: `${url}/responses`, apiKey: "EMPTY" });

const models = { responses: openai.responses("nano-moe"), chats: openai.chat("nano-moe"), open: open("nano-moe") };
for (const [name, model] of Object.entries(models)) {
  const greedy = { model, temperature: 0, maxRetries: 0 };
  const whole = await generateText({ ...greedy, prompt: "What is 12 + 30?" });
  assert.equal(whole.text, "12 + 30 = 42", name);
  assert.ok(whole.usage.inputTokens > 0 && whole.usage.outputTokens > 0, name);

  const parts = [];
  for await (const part of streamText({ ...greedy, prompt: "What is 12 + 30?" }).fullStream) parts.push(part);
  const texts = (type) => parts.filter((part) => part.type === type).map((part) => part.text).join("");
  assert.equal(texts("text-delta"), whole.text, name);
  assert.ok(!parts.some((part) => part.type === "error") && parts.at(-1).type === "finish", name);
  if (name === "open") assert.ok(texts("reasoning-delta").length > 0);

  const called = await generateText({
    ...greedy, prompt: "What is the weather in Paris?", tools: { get_weather }, stopWhen: stepCountIs(3) });
  assert.equal(called.steps.length, 2, name);
  assert.deepEqual(called.steps[0].toolCalls.map((call) => [call.toolName, call.input]),
    [["get_weather", { city: "Paris" }]], name);

  for (let seed = 0; seed < rounds; ++seed) {
    const { object } = await generateObject({
      model, schema: Weather, prompt: "What is the weather in Paris?", temperature: 1, maxRetries: 0,
      maxOutputTokens: 1500 });
    Weather.parse(object);
  }
}
console.log("responses by two providers, and chats: text, a tool, objects");
