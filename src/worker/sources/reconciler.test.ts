import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type DoorSetup, setUpDoor, spec } from "../../../test/support/door.ts";
import type { GatewayError } from "../../errors/errors.ts";
import type { WorkerSpec } from "../worker-spec.ts";
import { Reconciler } from "./reconciler.ts";

const A = "http://a:1";
const B = "http://b:1";
const C = "http://c:1";

interface Setup extends DoorSetup {
  /** Sends a report of a source. Returns the codes of the refused workers. */
  report(source: string, wanted: readonly (string | WorkerSpec)[]): string[];
  /** Calls of the door, in order. */
  readonly calls: string[];
  idOf(url: string): string | undefined;
}

function setUp(): Setup {
  const setup = setUpDoor();
  const { registry, door, logger } = setup;
  const calls: string[] = [];
  const reconciler = new Reconciler({
    registry,
    logger,
    door: {
      addWorker: (wanted) => {
        calls.push(`add ${wanted.url}`);
        door.addWorker(wanted);
      },
      updateWorker: (id, wanted) => {
        calls.push(`update ${wanted.url}`);
        door.updateWorker(id, wanted);
      },
      removeWorker: (worker) => {
        calls.push(`remove ${worker.url}`);
        door.removeWorker(worker);
      },
    },
  });
  return {
    ...setup,
    calls,
    report: (source, wanted) =>
      reconciler
        .apply(
          source,
          wanted.map((one) => (typeof one === "string" ? spec(one, source) : one)),
        )
        .map(({ code }: GatewayError) => code),
    idOf: (url) => registry.getByUrl(url)?.id,
  };
}

describe("one source", () => {
  const steps: readonly [
    what: string,
    before: readonly string[],
    after: readonly string[],
    calls: readonly string[],
  ][] = [
    ["none before, none after", [], [], []],
    ["the first workers", [], [A, B], [`add ${A}`, `add ${B}`]],
    ["the same set once more", [A, B], [A, B], []],
    ["the same set in another order", [A, B], [B, A], []],
    ["one more", [A], [A, B], [`add ${B}`]],
    ["one less", [A, B], [B], [`remove ${A}`]],
    ["none any more", [A, B], [], [`remove ${A}`, `remove ${B}`]],
    ["all replaced: the new ones come first", [A], [B, C], [`add ${B}`, `add ${C}`, `remove ${A}`]],
  ];
  for (const [what, before, after, calls] of steps) {
    test(`${what}: the workers are those that it wants`, () => {
      const setup = setUp();
      setup.report("file", before);
      setup.calls.length = 0;
      expect(setup.report("file", after)).toEqual([]);
      expect(setup.calls).toEqual([...calls]);
      expect(
        setup.registry
          .all()
          .map(({ url }) => url)
          .sort(),
      ).toEqual([...after].sort());
    });
  }

  test("a worker of which it says something else is changed in its place", () => {
    const { report, idOf, calls, registry, ledger } = setUp();
    report("file", [spec(A, "file", { cost: 1 }), B]);
    const id = idOf(A);
    using _lease = ledger.charge(registry.getByUrl(A)?.slot ?? -1, 1);
    report("file", [spec(A, "file", { cost: 2, labels: { zone: "a" } }), B]);
    expect(calls.slice(2)).toEqual([`update ${A}`]);
    expect(idOf(A)).toBe(id);
    expect(registry.getByUrl(A)?.spec).toMatchObject({ cost: 2, labels: { zone: "a" } });
    expect(registry.getByUrl(A)?.requestsInFlight).toBe(1);
  });

  test("a worker that it names twice comes once, and the second is refused", () => {
    const { report, rows } = setUp();
    expect(report("file", [A, A, B])).toEqual(["worker_exists"]);
    expect(rows()).toEqual([`${A} file`, `${B} file`]);
  });

  test("a worker that it wants again while the last one drains is a new one, and the old one finishes", () => {
    const { report, rows, idOf, registry, ledger, clock } = setUp();
    report("file", [A]);
    const id = idOf(A) ?? "";
    const lease = ledger.charge(registry.get(id)?.slot ?? -1, 1);
    report("file", []);
    expect(rows()).toEqual([`${A} file draining`]);
    report("file", [A]);
    report("file", [A]);
    expect(rows()).toEqual([`${A} file draining`, `${A} file`]);
    expect(idOf(A)).not.toBe(id);
    lease[Symbol.dispose]();
    clock.advance(100);
    expect(rows()).toEqual([`${A} file`]);
  });
});

describe("a worker that the door refuses", () => {
  const wrong = spec(A, "file", { policyHint: "nope" });

  test("keeps no other worker of the set from coming, and is told once", () => {
    const { report, rows, lines } = setUp();
    expect(report("file", [wrong, B])).toEqual(["invalid_request"]);
    expect(report("file", [wrong, B])).toEqual(["invalid_request"]);
    expect(rows()).toEqual([`${B} file`]);
    const warnings = lines.filter(({ level }) => level === "warn");
    expect(warnings.map(({ fields }) => fields)).toEqual([
      { source: "file", url: A, reason: expect.stringContaining("nope") },
    ]);
  });

  test("is tried again with each report, also where that says nothing new", () => {
    const { report, rows, calls } = setUp();
    report("file", [wrong]);
    report("file", [wrong]);
    expect(calls).toEqual([`add ${A}`, `add ${A}`]);
    expect(report("file", [A])).toEqual([]);
    expect(rows()).toEqual([`${A} file`]);
  });

  test("stays as it was where a change of it is refused", () => {
    const { report, registry } = setUp();
    report("file", [A]);
    expect(report("file", [wrong])).toEqual(["invalid_request"]);
    expect(registry.getByUrl(A)?.spec.policyHint).toBeUndefined();
  });
});

describe("what an operator did", () => {
  test("stays when a source says the same again: workers that were added, changed or removed over the API", () => {
    const { report, rows, door, idOf, registry } = setUp();
    report("file", [A, B]);
    door.addWorker(spec(C, "api"));
    const b = registry.getByUrl(B);
    if (b) door.removeWorker(b);
    door.updateWorker(idOf(A) ?? "", { ...spec(A, "file"), priority: 7 });
    report("file", [A, B]);
    expect(rows()).toEqual([`${A} file`, `${C} api`]);
    expect(registry.getByUrl(A)?.spec.priority).toBe(7);
  });

  const news: readonly [what: string, reports: readonly (readonly (string | WorkerSpec)[])[]][] = [
    ["leaves it out and names it again", [[], [A]]],
    ["names it with another spec", [[spec(A, "file", { cost: 2 })]]],
  ];
  for (const [what, reports] of news) {
    test(`to remove a worker stands until its source ${what}`, () => {
      const { report, rows, door, registry } = setUp();
      report("file", [A]);
      const worker = registry.getByUrl(A);
      if (worker) door.removeWorker(worker);
      report("file", [A]);
      expect(rows()).toEqual([]);
      for (const wanted of reports) report("file", wanted);
      expect(rows()).toEqual([`${A} file`]);
    });
  }

  test("to change a worker stands until its source says something else of it", () => {
    const { report, door, idOf, registry } = setUp();
    report("file", [A]);
    door.updateWorker(idOf(A) ?? "", { ...spec(A, "file"), priority: 7, cost: 7 });
    report("file", [spec(A, "file", { cost: 2 })]);
    expect(registry.getByUrl(A)?.spec).toMatchObject({ priority: 50, cost: 2 });
  });

  test("to remove a worker that another source waits for leaves it removed for both", () => {
    const { report, rows, door, registry } = setUp();
    report("file", [A]);
    report("dns", [A]);
    const worker = registry.getByUrl(A);
    if (worker) door.removeWorker(worker);
    report("dns", [A]);
    report("file", []);
    expect(rows()).toEqual([]);
    report("dns", [spec(A, "dns", { cost: 2 })]);
    expect(rows()).toEqual([`${A} dns`]);
  });

  test("to add a worker makes it the API's, which a source that wants it too neither changes nor removes", () => {
    const { report, rows, door, calls } = setUp();
    door.addWorker(spec(A, "api"));
    report("file", [A, B]);
    report("file", [spec(A, "file", { cost: 9 })]);
    report("file", []);
    expect(rows()).toEqual([`${A} api`]);
    expect(calls).toEqual([`add ${B}`, `remove ${B}`]);
  });
});

describe("two sources", () => {
  test("have their own workers: what one leaves out is none of the other's", () => {
    const { report, rows } = setUp();
    report("file", [A]);
    report("dns", [B]);
    report("file", []);
    expect(rows()).toEqual([`${B} dns`]);
  });

  test("that want one worker: it is that of the first, and passes on to the second without a drain", () => {
    const { report, rows, idOf, calls, registry, ledger } = setUp();
    report("file", [A]);
    report("dns", [spec(A, "dns", { cost: 3 })]);
    expect([rows(), registry.getByUrl(A)?.spec.cost]).toEqual([[`${A} file`], 1]);
    const id = idOf(A);
    using _lease = ledger.charge(registry.getByUrl(A)?.slot ?? -1, 1);
    report("file", []);
    expect([rows(), registry.getByUrl(A)?.spec.cost, idOf(A)]).toEqual([[`${A} dns`], 3, id]);
    expect(calls).toEqual([`add ${A}`, `update ${A}`]);
    report("dns", []);
    expect(rows()).toEqual([`${A} dns draining`]);
  });

  test("where the second has given it up by then: it leaves", () => {
    const { report, rows } = setUp();
    report("file", [A]);
    report("dns", [A]);
    report("dns", []);
    expect(rows()).toEqual([`${A} file`]);
    report("file", []);
    expect(rows()).toEqual([]);
  });

  test("of three, it passes on in the order in which they reported first", () => {
    const { report, rows } = setUp();
    for (const source of ["one", "two", "three"]) report(source, [A]);
    report("one", []);
    expect(rows()).toEqual([`${A} two`]);
    report("one", [A]);
    report("two", []);
    expect(rows()).toEqual([`${A} one`]);
    report("one", []);
    expect(rows()).toEqual([`${A} three`]);
  });

  test("where the worker cannot be changed to what the second wants, it gets a worker of its own", () => {
    const { report, rows, idOf, registry } = setUp();
    report("file", [spec(A, "file", { modelId: "m" }), spec(B, "file", { modelId: "m" })]);
    report("dns", [spec(A, "dns", { modelId: "m", policyHint: "random" })]);
    const id = idOf(A);
    report("file", [spec(B, "file", { modelId: "m" })]);
    expect(rows().sort()).toEqual([`${A} dns`, `${B} file`]);
    expect(idOf(A)).not.toBe(id);
    expect(registry.getByUrl(A)?.spec.policyHint).toBe("random");
  });
});

test("a set of 1,000 workers is looked at once a report, and costs nothing but what has changed", () => {
  const { report, calls, registry } = setUp();
  const urls = Array.from({ length: 1000 }, (_, index) => `http://w${index}:1`);
  report("file", urls);
  expect([calls.length, registry.count()]).toEqual([1000, 1000]);
  let lookUps = 0;
  const counted = new Reconciler({
    registry: {
      getByUrl: (url) => {
        lookUps += 1;
        return registry.getByUrl(url);
      },
    },
    logger: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    door: { addWorker: () => undefined, updateWorker: () => undefined, removeWorker: () => undefined },
  });
  const wanted = urls.map((url) => spec(url, "file"));
  counted.apply("file", wanted);
  expect(lookUps).toBe(1000);
  for (let time = 0; time < 10; time += 1) counted.apply("file", wanted);
  expect(lookUps).toBe(1000);
  counted.apply("file", wanted.slice(1));
  expect(lookUps).toBe(1001);
});

describe("whatever sources report and operators do", () => {
  const URLS = [A, B, C];
  const SOURCES = ["file", "dns"];
  const action = fc.oneof(
    fc.record({
      kind: fc.constant("report" as const),
      source: fc.constantFrom(...SOURCES),
      wanted: fc.uniqueArray(fc.record({ url: fc.constantFrom(...URLS), cost: fc.constantFrom(1, 2) }), {
        selector: ({ url }) => url,
      }),
    }),
    fc.record({ kind: fc.constantFrom("add" as const, "remove" as const), url: fc.constantFrom(...URLS) }),
  );

  test("no worker of the API is touched, no url is registered twice, and the last sets are met where no operator acted", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 30 }), (actions) => {
        const { report, door, registry, calls } = setUp();
        /** Urls at which an operator has added or removed a worker. */
        const touched = new Set<string>();
        const wanted = new Map<string, readonly { url: string; cost: number }[]>();
        for (const step of actions) {
          const ofApi = registry.all().filter(({ spec: { source } }) => source === "api");
          if (step.kind === "report") {
            const specs = step.wanted.map(({ url, cost }) => spec(url, step.source, { cost }));
            report(step.source, specs);
            wanted.set(step.source, step.wanted);
            for (const { id } of ofApi) expect(registry.get(id)?.status).toBe("pending");
            const before = calls.length;
            report(step.source, specs);
            expect(calls.length).toBe(before);
          } else {
            touched.add(step.url);
            const worker = registry.getByUrl(step.url);
            if (step.kind === "add" && !worker) door.addWorker(spec(step.url, "api"));
            if (step.kind === "remove" && worker) door.removeWorker(worker);
          }
          const urls = registry.all().map(({ url }) => url);
          expect(new Set(urls).size).toBe(urls.length);
        }
        for (const url of URLS) {
          if (touched.has(url)) continue;
          const costs = [...wanted.values()].flatMap((set) => set.filter((one) => one.url === url));
          const worker = registry.getByUrl(url);
          expect(worker !== undefined).toBe(costs.length > 0);
          if (worker) expect(costs.map(({ cost }) => cost)).toContain(worker.spec.cost);
        }
      }),
      { numRuns: 300 },
    );
  });
});
