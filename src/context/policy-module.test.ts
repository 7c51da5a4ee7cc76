import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { idleCandidate, requestWith } from "../../test/support/candidates.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import type { PolicyModule } from "../policy/policy-module.ts";
import { loadPolicyModule } from "./load-policy-module.ts";
import { guardModule } from "./policy-module.ts";

const folder = mkdtempSync(join(tmpdir(), "pointsman-policy-"));
afterAll(() => rmSync(folder, { recursive: true }));

let written = 0;
/** A file with this text, and a name that no module has had. */
function file(text: string): string {
  written += 1;
  const path = join(folder, `policy-${written}.ts`);
  writeFileSync(path, text);
  return path;
}

const OWN = `export default { name: "own", create: () => ({ name: "own", select: () => 0 }) };`;

describe("a policy module", () => {
  test("is a file that exports a name and how to make the policy, wherever it is", async () => {
    const path = file(OWN);
    expect((await loadPolicyModule(path)).name).toBe("own");
    expect((await loadPolicyModule(relative(process.cwd(), path))).name).toBe("own");
  });

  const REFUSED: Readonly<Record<string, { readonly text?: string; readonly words: string }>> = {
    "that is not there": { words: "there is no such file" },
    "that does not parse": { text: "export default {\n  name:", words: "cannot be loaded: line 2, column" },
    "that throws": { text: 'throw new Error("no network")', words: "cannot be loaded: no network" },
    "without the export": { text: "export const name = 1;", words: "must export default { name, create }" },
    "without a name": { text: 'export default { name: "", create: () => ({}) };', words: "must export default" },
    "with the name of a built-in policy": { text: OWN.replaceAll("own", "random"), words: "name of a built-in policy" },
    "whose create() throws": {
      text: 'export default { name: "own", create() { throw new Error("no"); } };',
      words: "create() of the policy module",
    },
    "that makes what chooses nobody": {
      text: 'export default { name: "own", create: () => ({ name: "own" }) };',
      words: "must return an object with pick() or select()",
    },
  };
  for (const [name, { text, words }] of Object.entries(REFUSED)) {
    test(`${name} is refused, and told why`, () => {
      const path = text === undefined ? join(folder, "none.ts") : file(text);
      expect(loadPolicyModule(path)).rejects.toMatchObject({
        code: "invalid_request",
        message: expect.stringContaining(words),
      });
    });
  }
});

describe("what a module does wrong", () => {
  const PARTS = {
    memory: (bytes: number) => new SharedArrayBuffer(bytes),
    random: () => 0.5,
    now: () => 0,
    thread: 0,
    threads: 1,
  };

  function setUp(module: Partial<PolicyModule>): {
    readonly clock: ManualClock;
    readonly lines: readonly object[];
    readonly maker: ReturnType<typeof guardModule>;
  } {
    const clock = new ManualClock();
    const lines: object[] = [];
    const ignore = (): void => undefined;
    const logger = { debug: ignore, info: ignore, warn: ignore, error: (fields: object) => void lines.push(fields) };
    const create = (): { name: string; select(): number } => ({ name: "own", select: () => 7 });
    return { clock, lines, maker: guardModule({ name: "own", create, ...module }, { logger, clock }) };
  }

  test("is an error line once a minute, not once a request", () => {
    const { clock, lines, maker } = setUp({});
    const policy = maker.create({}, PARTS);
    const pick = (): void => {
      try {
        policy.pick([idleCandidate(0), idleCandidate(1)], requestWith());
      } catch {
        // What a request is told is the guard's own test.
      }
    };
    for (let count = 0; count < 5; count += 1) pick();
    expect(lines).toMatchObject([{ policy: "own" }]);
    clock.advance(60_000);
    pick();
    expect(lines.length).toBe(2);
  });

  test("options for a module that takes none, and wrong ones for a module that does, are refused", () => {
    expect(() => setUp({}).maker.check({ weight: 1 })).toThrow("takes no options");
    const { maker } = setUp({
      options: {
        parse(given) {
          throw new Error(`no ${JSON.stringify(given)}`);
        },
      },
    });
    expect(() => maker.check({ weight: 1 })).toThrow('the options of the policy own are not valid: no {"weight":1}');
  });

  test("options come to create() as the module reads them", () => {
    const seen: unknown[] = [];
    const { maker } = setUp({
      options: { parse: (given) => ({ read: given }) },
      create: (options) => {
        seen.push(options);
        return { name: "own", select: () => 0 };
      },
    });
    maker.create({ weight: 1 }, PARTS);
    expect(seen).toEqual([{ read: { weight: 1 } }]);
  });
});
