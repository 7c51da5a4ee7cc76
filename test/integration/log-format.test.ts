import { expect, test } from "bun:test";
import { startEngine } from "../support/engine.ts";
import { HELLO, post, startGateway } from "../support/gateway.ts";
import { BIN, ELSEWHERE } from "../support/process.ts";

test("with text, the lines of all threads are for a person, the first ones too", async () => {
  await using engine = await startEngine();
  const child = Bun.spawn(
    [
      BIN,
      "--host",
      "127.0.0.1",
      "--port",
      "0",
      "--prometheus-port",
      "0",
      "--threads",
      "2",
      "--log-format",
      "text",
    ].concat(["--worker-urls", engine.url]),
    { cwd: ELSEWHERE, stdout: "pipe", stderr: "inherit" },
  );
  using _ended = { [Symbol.dispose]: (): void => child.kill("SIGKILL") };
  let output = "";
  let url: string | undefined;
  for await (const bytes of child.stdout) {
    output += Buffer.from(bytes).toString();
    url ??= /listening +(http:\S+)/.exec(output)?.[1];
    if (url !== undefined && output.includes(" to=ready ") && !output.includes(" request ")) {
      // The line of this request is the thread's own.
      expect((await post(`${url}/v1/chat/completions`, HELLO)).status).toBe(200);
    }
    if (output.includes(" INFO  request request_id=")) child.kill("SIGTERM");
  }
  await child.exited;
  expect(output).toContain("INFO  request request_id=");
  expect(output).toContain(` worker_url=${engine.url} `);
  expect(output).not.toContain('{"level"');
  expect(output).not.toContain("\u001B");
}, 60_000);

test("names of other programs are on the page of metrics where they are asked for, and nowhere else", async () => {
  await using engine = await startEngine();
  await using plain = await startGateway({ workers: [engine.url] });
  await using asked = await startGateway({ workers: [engine.url], config: { metricsCompat: ["llm-d", "vllm"] } });
  const page = async (url: string): Promise<string> => (await fetch(`${url}/metrics`)).text();
  expect(await page(plain.url)).not.toMatch(/^(?:# \w+ )?(?:smg_|vllm:|llm_d_)/m);
  expect((await post(`${asked.url}/v1/chat/completions`, HELLO)).status).toBe(200);
  const text = await page(asked.url);
  expect(text).toContain('\nllm_d_epp_ready_endpoints{name="pointsman"} 1\n');
  expect(text).toContain('\nvllm:num_requests_running{model_name="sim-1"} 0\n');
  expect(text).not.toContain("smg_");
});
