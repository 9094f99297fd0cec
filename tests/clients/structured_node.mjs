// What people use to get objects out of an answer in Node: zod with openai, the AI SDK's generateObject, and
// Anthropic's client. The model was taught none of the forms.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject } from "ai";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const url = process.argv[2];
const model = "nano-moe";
const question = "What is the weather in Paris?";
const Weather = z.object({ city: z.enum(["Paris", "Rome"]), degrees: z.number().int().min(-50).max(60) });
const rounds = Number(process.env.ROUNDS ?? 10);

const openai = new OpenAI({ baseURL: url, apiKey: "EMPTY", maxRetries: 0 });
for (let seed = 0; seed < rounds; ++seed) {
  const answer = await openai.chat.completions.parse({
    model, seed, temperature: 1, max_tokens: 800, enable_thinking: false,
    messages: [{ role: "user", content: question }], response_format: zodResponseFormat(Weather, "weather") });
  Weather.parse(answer.choices[0].message.parsed);
}

const provider = createOpenAICompatible({ name: "qwen3", baseURL: url, supportsStructuredOutputs: true });
for (let seed = 0; seed < rounds; ++seed) {
  const { object } = await generateObject({
    model: provider(model), schema: Weather, prompt: question, temperature: 1, seed, maxRetries: 0,
    maxOutputTokens: 800 });
  Weather.parse(object);
}

const anthropic = new Anthropic({ baseURL: url.replace(/\/v1$/, ""), apiKey: "EMPTY", maxRetries: 0 });
const message = await anthropic.messages.create({
  model, max_tokens: 800, messages: [{ role: "user", content: question }],
  output_config: { format: { type: "json_schema", schema: z.toJSONSchema(Weather) } } });
Weather.parse(JSON.parse(message.content.find((block) => block.type === "text").text));
const stream = anthropic.messages.stream({
  model, max_tokens: 800, messages: [{ role: "user", content: question }], tool_choice: { type: "tool", name: "weather" },
  tools: [{ name: "weather", input_schema: z.toJSONSchema(Weather) }] });
const call = (await stream.finalMessage()).content.find((block) => block.type === "tool_use");
Weather.parse(call.input);
console.log("zod with openai, generateObject, Anthropic's client: objects");
