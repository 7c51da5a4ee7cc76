import { describe, expect, test } from "bun:test";
import { ANSWER, type FleetSetup, setUpFleet } from "../../test/support/fleet.ts";
import type { Worker } from "./worker.ts";

/** Threshold 5, window 10 s, at most half of the workers out; ejected for 2 s, two probes, slow start 3 s. */
interface Setup extends FleetSetup {
  readonly workers: readonly Worker[];
  /** Attempts that end well. */
  answers(worker: Worker | undefined, count: number): void;
  /** Attempts that fail: of this many different requests, or of requests with these hashes. */
  fails(worker: Worker | undefined, sources: number | readonly number[]): void;
  state(worker: Worker | undefined): string;
  /** A probe; it fails where a hash is given. */
  proof(worker: Worker | undefined, source?: number): void;
}

let nextSource = 1000;

function setUp(count: number): Setup {
  const fleet = setUpFleet();
  const workers = Array.from({ length: count }, (_, index) => fleet.add(`http://w${index}:1`, { modelId: "a" }));
  const end = (worker: Worker | undefined): void => {
    if (worker) fleet.ledger.charge(worker.slot, 1)[Symbol.dispose]();
  };
  return {
    ...fleet,
    workers,
    answers(worker, times) {
      for (let turn = 0; turn < times; turn += 1) end(worker);
    },
    fails(worker, sources) {
      const list = typeof sources === "number" ? Array.from({ length: sources }, () => nextSource++) : sources;
      for (const source of list) {
        end(worker);
        const error = { code: "upstream_error", message: "out of memory" } as const;
        fleet.board.report(worker?.id ?? "", { ...ANSWER, news: "failure", source, error });
      }
    },
    proof(worker, source) {
      end(worker);
      const error = { code: "upstream_error", message: "out of memory" } as const;
      const outcome = source === undefined ? { news: "answer" as const } : { news: "failure" as const, source, error };
      fleet.board.report(worker?.id ?? "", { ...ANSWER, isProbe: true, holdsProbe: true, ...outcome });
    },
    state(worker) {
      const { trouble, breakerState } = fleet.registry.get(worker?.id ?? "") ?? {};
      return `${breakerState} ${trouble?.reason ?? "well"}`;
    },
  };
}

const urls = (fleet: FleetSetup): string[] => fleet.registry.getWorkersForModel("a").available.map(({ url }) => url);
const sweep = ({ clock }: FleetSetup): void => clock.advance(100);
/** The other worker answers, and this one fails its probes. */
function eject(fleet: Setup, bad: Worker | undefined, good: Worker | undefined): void {
  fleet.fails(bad, 5);
  fleet.answers(good, 10);
  sweep(fleet);
  for (let proofs = 0; proofs < 3; proofs += 1) fleet.proof(bad, nextSource++);
}

describe("a worker that fails where the others do not", () => {
  test("is left out after a handful of different requests, and ejected once the failures have ended with that", () => {
    const fleet = setUp(2);
    const [bad, good] = fleet.workers;
    fleet.answers(good, 10);
    fleet.fails(bad, 4);
    expect(fleet.state(bad)).toBe("closed well");
    fleet.fails(bad, 1);
    expect([fleet.state(bad), urls(fleet)]).toEqual(["closed suspected", ["http://w1:1"]]);
    fleet.answers(good, 9);
    sweep(fleet);
    expect(fleet.registry.getWorkersForModel("a").probation).toEqual([]);
    fleet.answers(good, 1);
    sweep(fleet);
    expect([fleet.state(bad), fleet.registry.getWorkersForModel("a").probation.length]).toEqual([
      "closed suspected",
      1,
    ]);
    fleet.proof(bad, nextSource++);
    fleet.proof(bad, nextSource++);
    expect(fleet.state(bad)).toBe("closed suspected");
    fleet.proof(bad, nextSource++);
    expect([fleet.state(bad), urls(fleet)]).toEqual(["open failures", ["http://w1:1"]]);
    expect(fleet.registry.get(bad?.id ?? "")?.lastError).toMatchObject({ code: "upstream_error" });
  });

  test("is left out as well where nobody else was asked yet, as with a policy that keeps to one worker", () => {
    const fleet = setUp(3);
    fleet.fails(fleet.workers[0], 5);
    expect(urls(fleet)).toEqual(["http://w1:1", "http://w2:1"]);
    eject(fleet, undefined, fleet.workers[1]);
    for (let proofs = 0; proofs < 3; proofs += 1) fleet.proof(fleet.workers[0], nextSource++);
    expect(fleet.state(fleet.workers[0])).toBe("open failures");
  });

  test("is not ejected for failures that are rare among its answers", () => {
    const fleet = setUp(2);
    fleet.fails(fleet.workers[0], 1);
    fleet.answers(fleet.workers[0], 30);
    fleet.fails(fleet.workers[0], 20);
    expect(fleet.state(fleet.workers[0])).toBe("closed well");
  });

  test("is not ejected for failures that are older than the window", () => {
    const fleet = setUp(2);
    fleet.fails(fleet.workers[0], 4);
    fleet.clock.advance(10_001);
    fleet.fails(fleet.workers[0], 4);
    expect(fleet.state(fleet.workers[0])).toBe("closed well");
    fleet.fails(fleet.workers[0], 1);
    expect(fleet.state(fleet.workers[0])).toBe("closed suspected");
  });

  test("stays where there is nobody else", () => {
    const fleet = setUp(1);
    fleet.fails(fleet.workers[0], 50);
    expect([fleet.state(fleet.workers[0]), urls(fleet)]).toEqual(["closed well", ["http://w0:1"]]);
  });

  test("is ejected by long answers, too, that are under way elsewhere and do not fail", () => {
    const fleet = setUp(2);
    fleet.fails(fleet.workers[0], 5);
    fleet.ledger.charge(fleet.workers[1]?.slot ?? 0, 10);
    fleet.clock.advance(29_900);
    expect(fleet.state(fleet.workers[0])).toBe("closed suspected");
    fleet.clock.advance(200);
    for (let proofs = 0; proofs < 3; proofs += 1) fleet.proof(fleet.workers[0], nextSource++);
    expect(fleet.state(fleet.workers[0])).toBe("open failures");
  });

  test("is asked again where nobody asked the others for anything meanwhile", () => {
    const fleet = setUp(2);
    fleet.fails(fleet.workers[0], 5);
    fleet.clock.advance(30_100);
    expect(fleet.state(fleet.workers[0])).toBe("closed well");
  });
});

describe("a worker that fails at a part of what it gets while the others do not", () => {
  /** Attempts in turn at all workers; every so manyth of the first one's fails. */
  function serve(fleet: Setup, rounds: number, everyth: number): void {
    for (let round = 1; round <= rounds; round += 1) {
      for (const worker of fleet.workers) {
        if (worker === fleet.workers[0] && round % everyth === 0) fleet.fails(worker, 1);
        else fleet.answers(worker, 1);
      }
    }
  }

  for (const everyth of [3, 5, 8]) {
    test(`is ejected: one in ${everyth} requests`, () => {
      const fleet = setUp(4);
      const [bad, ...others] = fleet.workers;
      serve(fleet, 5 * everyth, everyth);
      expect(fleet.state(bad)).toBe("closed suspected");
      expect(urls(fleet)).toEqual(["http://w1:1", "http://w2:1", "http://w3:1"]);
      for (const other of others) fleet.answers(other, 60);
      sweep(fleet);
      expect(fleet.registry.getWorkersForModel("a").probation).toHaveLength(1);
      // It goes on as before: an answer, and then a failure.
      for (let probe = 1; fleet.state(bad) === "closed suspected" && probe <= 60; probe += 1) {
        fleet.proof(bad, probe % everyth === 0 ? nextSource++ : undefined);
      }
      expect(fleet.state(bad)).toBe("open failures");
    });
  }

  test("is ejected by the few probes that there were when the time is over", () => {
    const fleet = setUp(2);
    serve(fleet, 18, 3);
    expect(fleet.state(fleet.workers[0])).toBe("closed suspected");
    fleet.answers(fleet.workers[1], 60);
    sweep(fleet);
    for (const source of [undefined, nextSource++, undefined]) fleet.proof(fleet.workers[0], source);
    expect(fleet.state(fleet.workers[0])).toBe("closed suspected");
    fleet.clock.advance(30_000);
    expect(fleet.state(fleet.workers[0])).toBe("open failures");
  });

  test("is asked again where its probes are answered", () => {
    const fleet = setUp(2);
    serve(fleet, 18, 3);
    expect(fleet.state(fleet.workers[0])).toBe("closed suspected");
    fleet.answers(fleet.workers[1], 60);
    sweep(fleet);
    for (let probe = 0; probe < 30; probe += 1) fleet.proof(fleet.workers[0]);
    expect([fleet.state(fleet.workers[0]), urls(fleet).length]).toEqual(["closed well", 2]);
  });

  test("stays where the others fail nearly as often", () => {
    const fleet = setUp(2);
    for (let round = 0; round < 100; round += 1) {
      fleet.answers(fleet.workers[0], 4);
      fleet.fails(fleet.workers[0], 1);
      fleet.answers(fleet.workers[1], 7);
      fleet.fails(fleet.workers[1], 1);
    }
    expect(fleet.workers.map((worker) => fleet.state(worker))).toEqual(["closed well", "closed well"]);
  });

  test("stays while the others have answered too little to compare it with", () => {
    const fleet = setUp(2);
    const [bad, other] = fleet.workers;
    fleet.fails(bad, 1);
    fleet.answers(bad, 80);
    fleet.answers(other, 10);
    fleet.fails(bad, 20);
    expect(fleet.state(bad)).toBe("closed well");
    fleet.answers(other, 40);
    fleet.fails(bad, 1);
    expect(fleet.state(bad)).toBe("closed suspected");
  });

  test("is not at fault where the failures go on at the others: they are one client's, whom affinity kept there", () => {
    const fleet = setUp(3);
    const [first, second] = fleet.workers;
    serve(fleet, 15, 3);
    expect(fleet.state(first)).toBe("closed suspected");
    for (let round = 0; round < 20; round += 1) {
      fleet.answers(second, 2);
      fleet.fails(second, 1);
    }
    sweep(fleet);
    expect(fleet.workers.map((worker) => fleet.state(worker))).toEqual(["closed well", "closed well", "closed well"]);
  });

  test("is ejected for connections that break, too, before they are half of its attempts", () => {
    const fleet = setUp(2);
    const [bad, good] = fleet.workers;
    const fault = (isProbe: boolean, source: number | undefined): void => {
      fleet.answers(bad, 1);
      const error = { code: "upstream_reset", message: "reset" } as const;
      fleet.board.report(bad?.id ?? "", { ...ANSWER, news: "fault", source, error, isProbe, holdsProbe: isProbe });
    };
    for (let round = 0; round < 20; round += 1) {
      fleet.answers(bad, 2);
      fleet.answers(good, 3);
      // A worker that was never reached has no request to blame.
      fault(false, round % 2 === 0 ? undefined : nextSource++);
      if (fleet.state(bad) !== "closed well") break;
    }
    expect(fleet.state(bad)).toBe("closed suspected");
    fleet.answers(good, 60);
    sweep(fleet);
    for (let probe = 0; probe < 4; probe += 1) fault(true, undefined);
    expect(fleet.state(bad)).toBe("open failures");
  });
});

describe("requests that fail everywhere", () => {
  test("one that is sent again and again ejects nobody", () => {
    const fleet = setUp(2);
    for (let turn = 0; turn < 50; turn += 1) fleet.fails(fleet.workers[turn % 2], [7]);
    expect(fleet.workers.map((worker) => fleet.state(worker))).toEqual(["closed well", "closed well"]);
  });

  test("those of one client that varies them eject nobody, though they fail at one worker first", () => {
    const fleet = setUp(3);
    fleet.answers(fleet.workers[1], 20);
    fleet.fails(fleet.workers[0], 5);
    expect(fleet.state(fleet.workers[0])).toBe("closed suspected");
    // The policy now sends them to another worker, among the requests of others.
    fleet.answers(fleet.workers[1], 3);
    fleet.fails(fleet.workers[1], 5);
    sweep(fleet);
    expect(fleet.workers.map((worker) => fleet.state(worker))).toEqual(["closed well", "closed well", "closed well"]);
    fleet.fails(fleet.workers[1], 20);
    fleet.fails(fleet.workers[0], 20);
    expect(fleet.workers.map((worker) => fleet.state(worker))).toEqual(["closed well", "closed well", "closed well"]);
  });

  test("a handful of one client that stops then ejects nobody: the worker answers what is to prove it", () => {
    const fleet = setUp(2);
    const [one, other] = fleet.workers;
    fleet.fails(one, 6);
    fleet.answers(other, 20);
    sweep(fleet);
    fleet.proof(one, nextSource++);
    for (let proofs = 0; proofs < 6; proofs += 1) fleet.proof(one);
    expect([fleet.state(one), urls(fleet).length]).toEqual(["closed well", 2]);
  });

  test("a suspected worker that nothing is sent to any more is asked again after a while", () => {
    const fleet = setUp(2);
    fleet.fails(fleet.workers[0], 5);
    fleet.answers(fleet.workers[1], 10);
    sweep(fleet);
    fleet.clock.advance(30_000);
    expect(fleet.state(fleet.workers[0])).toBe("closed well");
  });

  test("a few of one client, in turn at each worker, are known as the client's", () => {
    const fleet = setUp(2);
    for (let turn = 0; turn < 12; turn += 1) fleet.fails(fleet.workers[turn % 2], 1);
    expect(fleet.workers.map((worker) => fleet.state(worker))).toEqual(["closed well", "closed well"]);
  });

  test("three workers that all fail are all asked", () => {
    const fleet = setUp(3);
    for (let turn = 0; turn < 60; turn += 1) {
      fleet.fails(fleet.workers[turn % 3], 1);
      sweep(fleet);
    }
    expect(fleet.workers.map((worker) => fleet.state(worker).split(" ")[0])).toEqual(["closed", "closed", "closed"]);
    expect(urls(fleet).length).toBeGreaterThanOrEqual(2);
  });

  test("a few among many of others' do not save a worker that fails everything", () => {
    const fleet = setUp(2);
    const [bad, good] = fleet.workers;
    fleet.fails(bad, 5);
    fleet.answers(good, 19);
    fleet.fails(good, 1);
    sweep(fleet);
    for (let proofs = 0; proofs < 3; proofs += 1) fleet.proof(bad, nextSource++);
    expect(fleet.state(bad)).toBe("open failures");
  });

  test("bent answers open no breaker where the other workers fail alike, and do where they do not", () => {
    const fleet = setUp(2);
    const doubtful = (worker: Worker | undefined, source: number): void => {
      fleet.answers(worker, 1);
      const error = { code: "upstream_stream_error", message: "no" } as const;
      fleet.board.report(worker?.id ?? "", { ...ANSWER, news: "doubtful", source, error });
    };
    for (let turn = 0; turn < 40; turn += 1) doubtful(fleet.workers[turn % 2], 5000 + turn);
    expect(fleet.workers.map((worker) => fleet.state(worker).split(" ")[0])).toEqual(["closed", "closed"]);
    const other = setUp(1);
    for (let turn = 0; turn < 4; turn += 1) {
      other.answers(other.workers[0], 1);
      other.board.report(other.workers[0]?.id ?? "", { ...ANSWER, news: "doubtful", source: turn });
    }
    expect(other.state(other.workers[0])).toBe("open faults");
  });
});

describe("how many are left out", () => {
  test("two of three, and never the last", () => {
    const fleet = setUp(3);
    const [one, two, good] = fleet.workers;
    fleet.answers(good, 20);
    for (const bad of [one, two]) eject(fleet, bad, good);
    fleet.fails(good, 20);
    expect([fleet.workers.map((worker) => fleet.state(worker)), urls(fleet)]).toEqual([
      ["open failures", "open failures", "closed well"],
      ["http://w2:1"],
    ]);
  });

  test("half of them at most, which is said once and counted", async () => {
    const fleet = setUp(4);
    const [one, two, three, good] = fleet.workers;
    fleet.answers(good, 20);
    for (const bad of [one, two]) eject(fleet, bad, good);
    fleet.fails(three, 10);
    expect(fleet.workers.map((worker) => fleet.state(worker))).toEqual([
      "open failures",
      "open failures",
      "closed well",
      "closed well",
    ]);
    expect(fleet.lines.filter(({ message }) => message?.includes("as may be"))).toHaveLength(1);
    expect(fleet.metrics.expose()).toContain('pointsman_ejections_limited_total{model="a"} 6');
  });

  test("where more are ejected than are left, as others went down, they are asked all the same, and that is said", () => {
    const fleet = setUp(3);
    const [bad, good, other] = fleet.workers;
    eject(fleet, bad, good);
    expect(urls(fleet)).toEqual(["http://w1:1", "http://w2:1"]);
    fleet.registry.update(good?.id ?? "", { status: "not_ready" });
    expect([urls(fleet), [...fleet.board.panicking]]).toEqual([["http://w2:1"], []]);
    fleet.registry.update(other?.id ?? "", { status: "not_ready" });
    expect([urls(fleet), [...fleet.board.panicking]]).toEqual([["http://w0:1"], ["a"]]);
    fleet.registry.update(other?.id ?? "", { status: "ready" });
    expect([urls(fleet), [...fleet.board.panicking]]).toEqual([["http://w2:1"], []]);
    expect(fleet.lines.filter(({ level, message }) => level === "warn" && message?.includes("too few"))).toHaveLength(
      1,
    );
  });
});

describe("the way back", () => {
  function ejected(): Setup & { readonly bad: Worker | undefined; probe(more?: object): void } {
    const fleet = setUp(2);
    const [bad, good] = fleet.workers;
    eject(fleet, bad, good);
    fleet.clock.advance(2000);
    return {
      ...fleet,
      bad,
      probe: (more = {}) => fleet.board.report(bad?.id ?? "", { ...ANSWER, isProbe: true, holdsProbe: true, ...more }),
    };
  }
  const failure = (source: number): object => ({
    news: "failure",
    source,
    error: { code: "upstream_error", message: "no" },
  });

  test("requests prove it, one at a time, and it gets its full share of the requests after a while", () => {
    const fleet = ejected();
    expect([fleet.state(fleet.bad), fleet.registry.getWorkersForModel("a").probation.length]).toEqual([
      "half_open failures",
      1,
    ]);
    fleet.probe();
    fleet.probe();
    expect(fleet.state(fleet.bad)).toBe("closed well");
    const share = (draw: number): number =>
      fleet.registry.getWorkersForModel("a").slowStarts?.candidates(draw, fleet.clock.now()).length ?? 2;
    expect([share(0.09), share(0.11)]).toEqual([2, 1]);
    fleet.clock.advance(1500);
    expect([share(0.49), share(0.51)]).toEqual([2, 1]);
    fleet.clock.advance(1500);
    expect(fleet.registry.getWorkersForModel("a").slowStarts).toBeUndefined();
  });

  test("a proof that fails leaves it out for twice as long, up to sixteen times", () => {
    const fleet = ejected();
    for (const secs of [4, 8, 16, 32, 32, 32]) {
      fleet.probe(failure(nextSource++));
      fleet.clock.advance(secs * 1000 - 1);
      expect(fleet.state(fleet.bad)).toBe("open failures");
      fleet.clock.advance(1);
      expect(fleet.state(fleet.bad)).toBe("half_open failures");
    }
  });

  test("a request that failed at the other worker too proves nothing, and a refusal does not either", () => {
    const fleet = ejected();
    fleet.fails(fleet.workers[1], [77]);
    fleet.probe(failure(77));
    expect(fleet.state(fleet.bad)).toBe("half_open failures");
    for (let turn = 0; turn < 5; turn += 1) {
      fleet.probe({ error: { code: "upstream_rejected", message: "max_tokens is too large" } });
    }
    expect(fleet.state(fleet.bad)).toBe("half_open failures");
  });

  test("what was on the way when it was left out, and failed then, is not held against it when it is back", () => {
    const fleet = ejected();
    fleet.fails(fleet.bad, 8);
    fleet.probe();
    fleet.probe();
    fleet.fails(fleet.bad, 4);
    expect(fleet.state(fleet.bad)).toBe("closed well");
  });

  test("one that was down and is up again is another process: nothing is held against it", () => {
    const fleet = ejected();
    fleet.registry.update(fleet.bad?.id ?? "", { status: "not_ready" });
    fleet.registry.update(fleet.bad?.id ?? "", { status: "ready" });
    expect([fleet.state(fleet.bad), fleet.registry.getWorkersForModel("a").slowStarts]).toEqual([
      "closed well",
      undefined,
    ]);
  });

  test("one that left takes its timers along", () => {
    const fleet = ejected();
    fleet.registry.remove(fleet.bad?.id ?? "");
    fleet.clock.advance(100_000);
    expect(fleet.clock.pending).toBe(0);
  });
});

describe("a worker that refuses the gateway's credential", () => {
  const refused = { ...ANSWER, news: "nothing", error: { code: "upstream_auth_failed", message: "no" } } as const;

  test("is left out at once where another can serve, and the log says for how long, and that it is back", () => {
    const fleet = setUp(2);
    const id = fleet.workers[0]?.id ?? "";
    fleet.board.report(id, refused);
    expect([fleet.state(fleet.workers[0]), urls(fleet)]).toEqual(["open credential", ["http://w1:1"]]);
    const told = fleet.lines.find(({ level }) => level === "error");
    expect([told?.message, told?.fields]).toEqual([
      "the worker refuses the gateway's credential",
      expect.objectContaining({ url: "http://w0:1", for_secs: 30 }),
    ]);
    fleet.clock.advance(30_000);
    expect(fleet.registry.getWorkersForModel("a").probation).toHaveLength(1);
    fleet.board.report(id, { ...ANSWER, isProbe: true, holdsProbe: true });
    expect([fleet.state(fleet.workers[0]), urls(fleet).length]).toEqual(["closed well", 2]);
    expect(fleet.lines.at(-1)?.fields).toMatchObject({ url: "http://w0:1", to: "closed", reason: "credential" });
  });

  test("is asked on where there is nobody else", () => {
    const fleet = setUp(1);
    fleet.board.report(fleet.workers[0]?.id ?? "", refused);
    expect(urls(fleet)).toEqual(["http://w0:1"]);
  });
});

test("ten thousand workers: what a failure costs is bounded", () => {
  const fleet = setUp(10_000);
  fleet.fails(fleet.workers[0], 1);
  const started = performance.now();
  for (let turn = 0; turn < 100; turn += 1) fleet.fails(fleet.workers[turn], 1);
  expect((performance.now() - started) / 100).toBeLessThan(2);
});
