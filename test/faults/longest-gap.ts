/** Reads a stream of the gateway's; at each SIGUSR2 it prints the longest gap between two pieces since the last, ms. */
import { post } from "../support/gateway.ts";

const [url = "", model = ""] = process.argv.slice(2);
const messages = [{ role: "user", content: "a" }];
const response = await post(`${url}/v1/chat/completions`, {
  model,
  stream: true,
  max_tokens: 100_000,
  ignore_eos: true,
  messages,
});
let longest = 0;
let last = performance.now();
process.on("SIGUSR2", () => {
  console.log(Math.max(longest, performance.now() - last));
  longest = 0;
});
console.log("reading");
for await (const _piece of response.body ?? []) {
  const now = performance.now();
  longest = Math.max(longest, now - last);
  last = now;
}
