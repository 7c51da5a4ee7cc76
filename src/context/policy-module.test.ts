import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { candidates, chosenBy } from "../../test/support/candidates.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import type { PolicyParts } from "../policy/policy.ts";
import { guardModule, loadPolicyModule, type PolicyModule } from "./policy-module.ts";

const folder = mkdtempSync(join(tmpdir(), "policy-module-"));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;

/** The module with this text, loaded; or why it is not. */
async function load(text: string): Promise<PolicyModule | string> {
  files += 1;
  const path = join(folder, `policy-${files}.ts`);
  writeFileSync(path, text);
  return loadPolicyModule(path).catch((error: unknown) => String(error).replaceAll(path, "FILE"));
}

describe("a policy module", () => {
  test("is its default export", async () => {
    const module = await load('export default { name: "mine", create: () => ({ pick: () => 0 }) };');
    expect(typeof module === "object" && module.name).toBe("mine");
  });

  const refused: readonly [what: string, text: string, reason: string][] = [
    ["has no default export", "export const x = 1;", "must export default { name, create }"],
    ["has no name", 'export default { name: "", create: () => ({ pick: () => 0 }) };', "must export default"],
    ["has options that read nothing", 'export default { name: "m", create: () => ({}), options: {} };', "must export"],
    ["cannot be parsed", "export default {\n  name: ;\n};", "line 2, column 9"],
    ["throws when it is loaded", 'throw new Error("not today");', "not today"],
    [
      "takes the name of a built-in policy",
      'export default { name: "random", create: () => ({ pick: () => 0 }) };',
      "takes the name of a built-in policy, random",
    ],
    ["cannot make a policy", 'export default { name: "m", create() { throw new Error("no") } };', "create() of"],
    ["makes something that cannot choose", 'export default { name: "m", create: () => ({}) };', "pick() or select()"],
  ];
  for (const [what, text, reason] of refused) {
    test(`that ${what} is refused, and the reason says so`, async () => {
      expect(await load(text)).toContain(reason);
    });
  }

  test("that is not there is refused", async () => {
    const failure: unknown = await loadPolicyModule("/no/such/policy.ts").catch((error: unknown) => error);
    expect(String(failure)).toContain("there is no such file");
  });

  test("that needs options is not made before a pattern gives them", async () => {
    const module = await load(`export default {
      name: "mine",
      options: { parse(given) { if (given.size === undefined) throw new Error("size is missing"); return given; } },
      create: (options) => { if (options.size < 1) throw new Error("too small"); return { pick: () => 0 }; },
    };`);
    expect(typeof module === "object" && module.name).toBe("mine");
  });
});

describe("a guarded module", () => {
  const PARTS: PolicyParts = { memory: (bytes) => new SharedArrayBuffer(bytes), random: () => 0, now: () => 0 };

  /** Picks `times` times with a policy that fails each time; the reasons that the log has. */
  function faults(times: number, reasonOf: (time: number) => string, pauseMs = 0): string[] {
    const clock = new ManualClock();
    const told: string[] = [];
    let time = 0;
    const maker = guardModule(
      {
        name: "mine",
        create: () => ({
          pick: () => {
            time += 1;
            throw new Error(reasonOf(time));
          },
        }),
      },
      {
        clock,
        logger: {
          debug: () => undefined,
          info: () => undefined,
          warn: () => undefined,
          error: (fields) => void told.push("what" in fields ? String(fields.what) : ""),
        },
      },
    );
    const policy = maker.create({}, PARTS);
    for (let count = 0; count < times; count += 1) {
      try {
        chosenBy(policy, candidates(0, 0));
      } catch {
        // The gateway answers this request with an error.
      }
      clock.advance(pauseMs);
    }
    return told;
  }

  test("is told of the same fault once a minute, however often it fails", () => {
    expect(faults(100, () => "broken")).toHaveLength(1);
    expect(faults(3, () => "broken", 60_000)).toHaveLength(3);
  });

  test("is told of each different fault", () => {
    expect(faults(3, (time) => `broken ${time}`)).toHaveLength(3);
  });
});
