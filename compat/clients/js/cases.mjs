// What is done with the client, by name; each returns what the tests look at.
import { Ollama } from "ollama";

const STORY = [{ role: "user", content: "Tell me a very long story about a river." }];
const HELLO = [{ role: "user", content: "Say hello." }];
const LIKES = {
  type: "object",
  properties: { likes: { enum: ["tea", "coffee"] } },
  required: ["likes"],
  additionalProperties: false,
};

const TOOL = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};
const QUESTION = { role: "user", content: "What is the weather in Paris?" };
const CALLING = { role: "assistant", content: "", tool_calls: [{ function: { name: "get_weather", arguments: { city: "Paris" } } }] };
const THINKING = { role: "assistant", thinking: "It is easy.", content: "It is sunny." };
const often = (said) => [...Array(4).fill([QUESTION, said]).flat(), QUESTION];

const brief = (tokens, more = {}) => ({ model: "starter", options: { num_predict: tokens, temperature: 0 }, ...more });

async function all(parts) {
  const found = [];
  for await (const part of parts) found.push(part);
  return found;
}

async function failure(work) {
  try {
    await work();
  } catch (error) {
    return { name: error.name, status: error.status_code ?? null, message: error.message };
  }
  return null;
}

const cases = {
  chat: (client) => client.chat(brief(16, { messages: HELLO })),
  chatStream: async (client) => all(await client.chat(brief(24, { messages: STORY, stream: true }))),
  generate: (client) => client.generate(brief(8, { prompt: "One, two," })),
  generateStream: async (client) => all(await client.generate(brief(8, { prompt: "One, two,", stream: true }))),
  schema: (client) => client.chat(brief(32, { messages: HELLO, format: LIKES })),
  embed: (client) => client.embed({ model: "minilm", input: ["The cat sleeps.", "Taxes are due."] }),
  models: async (client) => ({
    loaded: await client.generate({ model: "starter", prompt: "", keep_alive: "5m" }),
    list: await client.list(),
    ps: await client.ps(),
    show: await client.show({ model: "starter" }),
    version: await client.version(),
  }),
  tools: async (client) => {
    const messages = often(CALLING);
    const parts = await all(await client.chat({ model: "handy", messages, tools: [TOOL], think: false, stream: true }));
    const calls = parts.flatMap((part) => part.message.tool_calls ?? []);
    messages.push({ role: "assistant", content: "", tool_calls: calls });
    messages.push({ role: "tool", content: "22 degrees", tool_name: "get_weather" });
    const answer = await client.chat({ model: "handy", messages, tools: [TOOL], think: false });
    return { calls: calls.map((call) => call.function), asked: parts.at(-1).prompt_eval_count, answer };
  },
  thinking: (client) => client.chat({ model: "handy", messages: often(THINKING), think: true }),
  unload: (client) => client.chat({ model: "starter", messages: [], keep_alive: 0 }),
  make: async (client) => ({
    made: await all(await client.create({ model: "brief", from: "starter", system: "Be brief.", stream: true })),
    copied: await client.copy({ source: "brief", destination: "me/short" }),
    listed: await client.list(),
    deleted: [await client.delete({ model: "brief" }), await client.delete({ model: "me/short" })],
  }),
  abort: async (client) => {
    const parts = await client.chat(brief(4000, { messages: STORY, stream: true }));
    return failure(async () => {
      for await (const _ of parts) parts.abort();
    });
  },
  unknown: (client) => failure(() => client.chat({ model: "nope", messages: HELLO })),
  unknownStream: (client) => failure(() => client.chat({ model: "nope", messages: HELLO, stream: true })),
  pullNothing: (client) =>
    failure(async () => all(await client.pull({ model: "pypi:no-such-package/x.gguf", stream: true }))),
};

const [url, name] = process.argv.slice(2);
process.stdout.write(JSON.stringify(await cases[name](new Ollama({ host: url }))));
