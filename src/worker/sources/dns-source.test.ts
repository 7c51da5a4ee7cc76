import { describe, expect, test } from "bun:test";
import { ManualClock } from "../../../test/support/manual-clock.ts";
import { settled } from "../../../test/support/settled.ts";
import { DEFAULT_SPEC } from "../worker-spec.ts";
import { DnsSource, type NameResolver, type ServiceRecord } from "./dns-source.ts";
import type { SourceReport } from "./worker-source.ts";

interface Answers {
  addresses: readonly string[] | Error;
  services: readonly ServiceRecord[] | Error;
  isSilent: boolean;
}

class Played implements NameResolver {
  readonly answers: Answers = { addresses: [], services: [], isSilent: false };
  asked = 0;

  addresses(): Promise<readonly string[]> {
    return this.#answer(this.answers.addresses);
  }

  services(): Promise<readonly ServiceRecord[]> {
    return this.#answer(this.answers.services);
  }

  #answer<T>(answer: T | Error): Promise<T> {
    this.asked += 1;
    if (this.answers.isSilent) return new Promise(() => undefined);
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  }
}

function setUp(url: string): {
  readonly dns: Played;
  readonly clock: ManualClock;
  readonly source: DnsSource;
  readonly watched: Promise<void>;
  readonly failure: () => string | undefined;
  readonly urls: () => string[];
  readonly reports: SourceReport[];
  readonly end: () => void;
  /** Waits until the next question was answered. */
  readonly next: () => Promise<void>;
} {
  const dns = new Played();
  const clock = new ManualClock();
  const template = { ...DEFAULT_SPEC, url, source: "dns:x", workerType: "decode" } as const;
  const source = new DnsSource({ name: "dns:x", template, resolver: dns, clock });
  const reports: SourceReport[] = [];
  const stop = new AbortController();
  let failure: string | undefined;
  const watched = Promise.resolve()
    .then(() => source.watch((report) => reports.push(report), stop.signal))
    .catch((error: unknown) => {
      failure = String(error);
    });
  const last = (): SourceReport | undefined => reports.at(-1);
  return {
    dns,
    clock,
    source,
    watched,
    reports,
    failure: () => failure,
    urls: () => {
      const report = last();
      return report?.state === "ready" ? report.workers.map((worker) => worker.url) : [];
    },
    end: () => stop.abort(),
    async next() {
      clock.advance(5000);
      await settled();
    },
  };
}

describe("the addresses of a name", () => {
  test("are workers at the port of the url, each like the template", async () => {
    const { dns, urls, reports } = setUp("grpc://engines:9000");
    dns.answers.addresses = ["10.0.0.1", "10.0.0.2"];
    await settled();
    expect(urls()).toEqual(["grpc://10.0.0.1:9000", "grpc://10.0.0.2:9000"]);
    expect(reports[0]).toMatchObject({ workers: [{ workerType: "decode", source: "dns:x" }, {}] });
  });

  test("of both families are those of IPv4 alone: the same engines have both", async () => {
    const { dns, urls, next } = setUp("http://engines:8000");
    dns.answers.addresses = ["fd00::1", "10.0.0.1"];
    await settled();
    expect(urls()).toEqual(["http://10.0.0.1:8000"]);
    dns.answers.addresses = ["fd00::1"];
    for (let answer = 0; answer < 3; answer += 1) await next();
    expect(urls()).toEqual(["http://[fd00::1]:8000"]);
  });

  test("are asked for every five seconds, and a worker leaves when three answers in a row do not have it", async () => {
    const { dns, urls, next } = setUp("http://engines:8000");
    dns.answers.addresses = ["10.0.0.1", "10.0.0.2"];
    await settled();
    dns.answers.addresses = ["10.0.0.2", "10.0.0.3"];
    await next();
    const all = ["http://10.0.0.1:8000", "http://10.0.0.2:8000", "http://10.0.0.3:8000"];
    expect(urls()).toEqual(all);
    await next();
    expect(urls()).toEqual(all);
    await next();
    expect(urls()).toEqual(all.slice(1));
    expect(dns.asked).toBe(4);
  });

  test("of which each answer has another part are all workers", async () => {
    const { dns, urls, next } = setUp("http://engines:8000");
    const parts = [["10.0.0.1", "10.0.0.2"], ["10.0.0.3"], ["10.0.0.4"]];
    for (let turn = 0; turn < 9; turn += 1) {
      dns.answers.addresses = parts[turn % 3] ?? [];
      await (turn === 0 ? settled() : next());
    }
    expect(urls().length).toBe(4);
  });

  test("keep their workers when the name is not found, has no records, or nobody answers", async () => {
    for (const answers of [{ addresses: new Error("ENOTFOUND") }, { addresses: [] }, { isSilent: true }]) {
      const { dns, next, failure, reports, source, clock } = setUp("http://engines:8000");
      dns.answers.addresses = ["10.0.0.1"];
      await settled();
      Object.assign(dns.answers, answers);
      await next();
      clock.advance(10_000);
      await settled();
      // The watch failed, so WorkerSources says that the source is away, and watches again.
      expect(failure()).toMatch(/ENOTFOUND|engines has no records|no answer for engines within 10 s/);
      Object.assign(dns.answers, { addresses: ["10.0.0.2"], isSilent: false });
      const stop = new AbortController();
      void source.watch((report) => reports.push(report), stop.signal);
      await settled();
      expect(reports.at(-1)).toMatchObject({
        workers: [{ url: "http://10.0.0.1:8000" }, { url: "http://10.0.0.2:8000" }],
      });
      stop.abort();
    }
  });

  test("are not asked for while the configuration does not name them", async () => {
    const { dns, urls, next, source, reports } = setUp("http://engines:8000");
    dns.answers.addresses = ["10.0.0.1"];
    await settled();
    source.want(undefined);
    await settled();
    expect(urls()).toEqual([]);
    await next();
    expect(dns.asked).toBe(1);
    source.want({ ...DEFAULT_SPEC, url: "http://engines:8000", source: "dns:x", cost: 2 });
    await settled();
    expect(reports.at(-1)).toMatchObject({ workers: [{ url: "http://10.0.0.1:8000", cost: 2 }] });
  });

  test("are the same specs as long as nothing changes, so that nothing is compared", async () => {
    const { dns, reports, next } = setUp("http://engines:8000");
    dns.answers.addresses = ["10.0.0.1"];
    await settled();
    await next();
    const [one, two] = reports;
    if (one?.state !== "ready" || two?.state !== "ready") throw new Error("there are two reports");
    expect(one.workers[0]).toBe(two.workers[0]);
  });
});

describe("the SRV records of a name", () => {
  const record = (name: string, port: number, priority = 0): ServiceRecord => ({ name, port, priority });

  test("are workers with their names and ports, and those that come first get the requests", async () => {
    const { dns, reports } = setUp("https://_http._tcp.engines");
    dns.answers.services = [record("a.engines.", 8001), record("b.engines", 8002, 10), record("c.engines", 8003, 20)];
    await settled();
    expect(reports[0]).toMatchObject({
      workers: [
        { url: "https://a.engines:8001", priority: 50 },
        { url: "https://b.engines:8002", priority: 49 },
        { url: "https://c.engines:8003", priority: 48 },
      ],
    });
  });

  test("change the priority of a worker that stays", async () => {
    const { dns, reports, next } = setUp("http://_http._tcp.engines");
    dns.answers.services = [record("a", 1), record("b", 1, 5)];
    await settled();
    dns.answers.services = [record("a", 1, 5), record("b", 1, 0), record("b", 1, 9)];
    await next();
    expect(reports.at(-1)).toMatchObject({
      workers: [
        { url: "http://a:1", priority: 49 },
        { url: "http://b:1", priority: 50 },
      ],
    });
  });

  test("that say that there is no service take no worker away", async () => {
    const { dns, failure } = setUp("http://_http._tcp.engines");
    dns.answers.services = [record("", 0)];
    await settled();
    expect(failure()).toContain("_http._tcp.engines has no records");
  });
});

test("the watch ends when it is told to, though nobody answers", async () => {
  const { dns, watched, end, clock, failure } = setUp("http://engines:8000");
  dns.answers.isSilent = true;
  await settled();
  end();
  await watched;
  expect([failure(), clock.pending]).toEqual(["Error: the watch has ended", 0]);
});

test("a name is heard with each answer that has records, and is silent while it gets none", async () => {
  const { dns, clock, source, next } = setUp("http://engines:8000");
  dns.answers.addresses = ["10.0.0.1"];
  expect(source.heardAt).toBeUndefined();
  await next();
  await next();
  const before = clock.now();
  expect(source.heardAt).toBe(before);
  dns.answers.addresses = [];
  await next();
  expect([source.heardAt, clock.now() > before]).toEqual([before, true]);
});
