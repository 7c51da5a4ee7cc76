import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEngine } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { startProcess } from "../support/process.ts";

const dir = mkdtempSync(join(tmpdir(), "recording-"));
afterAll(() => rmSync(dir, { recursive: true }));

const MODEL = "sim-1";
const SECRET = "Wilhelmina's zebra is called Quetzalcoatl. ";

function chat(model: string, text: string, stream: boolean): object {
  return { model, stream, messages: [{ role: "user", content: text }] };
}

for (const threads of [1, 2]) {
  describe(`a recording with ${threads} threads`, () => {
    test("has each answered request, what is equal in them, and not a byte of their text", async () => {
      const file = join(dir, `traffic-${threads}.jsonl`);
      await using engine = await startEngine({ model: MODEL });
      {
        await using gateway = await startProcess(["--threads", String(threads), "--record", file]);
        await post(`${gateway.url}/workers?wait=true`, { url: engine.url }, { connection: "close" });
        const send = async (body: object, user: string): Promise<void> => {
          const headers = { connection: "close", "x-session-id": user };
          const answer = await post(`${gateway.url}/v1/chat/completions`, body, headers);
          await answer.text();
          expect(answer.status).toBe(200);
        };
        for (let turn = 0; turn < 6; turn += 1) {
          await send(chat(MODEL, SECRET.repeat(40 + turn), turn % 2 === 0), `Xanthippe-${turn % 2}`);
        }
        await post(`${gateway.url}/v1/chat/completions`, chat("Nebuchadnezzar", SECRET, false));
        // Without a delay, and with what is still to be written.
        gateway.signal("SIGINT");
        expect(await gateway.exited).toBe(0);
      }
      const text = readFileSync(file, "utf8");
      const [head, ...requests] = text
        .trimEnd()
        .split("\n")
        .map((line): Record<string, unknown> => JSON.parse(line));
      expect(head).toMatchObject({ format: "pointsman-recording", version: 1 });
      expect(requests).toHaveLength(6);
      const ids = requests.map(({ hash_ids: blocks }) => (Array.isArray(blocks) ? blocks.length : 0));
      for (const blocks of ids) expect(blocks).toBeGreaterThan(8);
      // All six share the beginning, and each session has its number.
      expect(new Set(requests.map(({ hash_ids: blocks }) => (Array.isArray(blocks) ? blocks[4] : -1))).size).toBe(1);
      expect(new Set(requests.map(({ session }) => session)).size).toBe(2);
      expect(requests.filter(({ stream }) => stream === true)).toHaveLength(3);
      for (const word of [...SECRET.split(/[\s.]+/).filter((part) => part.length > 3), "Xanthippe", "Nebuchadnezzar"])
        expect(text).not.toContain(word);
      expect(statSync(file).mode & 0o777).toBe(0o600);
    }, 60_000);
  });
}
