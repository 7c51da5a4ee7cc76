import { expect, test } from "bun:test";
import { ManualClock } from "../../../test/support/manual-clock.ts";
import { settled } from "../../../test/support/settled.ts";
import { DEFAULT_SPEC, type WorkerSpec } from "../worker-spec.ts";
import { FileSource, type FileWish } from "./file-source.ts";

interface Setup {
  readonly source: FileSource;
  /** What files hold: URLs of workers, separated by spaces. One that holds `bad` has a mistake. */
  readonly files: Map<string, string>;
  /** Times that a file was read. */
  readonly reads: () => number;
  readonly end: () => Promise<void>;
  wish(path: string): FileWish;
  /** Lets so many seconds pass, one by one. */
  pass(secs: number): Promise<void>;
  /** The last report: URLs, or why the source is away. */
  said(): readonly string[] | string | undefined;
}

async function setUp(): Promise<Setup> {
  const clock = new ManualClock();
  const files = new Map([["a.yaml", "http://a:1"]]);
  const source = new FileSource({ clock, stateOf: (file) => files.get(file) ?? "missing" });
  const stop = new AbortController();
  let said: readonly string[] | string | undefined;
  let reads = 0;
  const spec = (url: string): WorkerSpec => ({ ...DEFAULT_SPEC, url, source: source.name });
  const wish = (path: string): FileWish => ({
    path,
    read() {
      reads += 1;
      const text = files.get(path);
      if (text === undefined || text === "bad") throw new Error(`${path}: ${text ?? "there is no such file"}`);
      const urls = text.split(" ").filter((url) => url !== "");
      return { workers: urls.map((url) => spec(url)), files: ["key"] };
    },
  });
  source.want(wish("a.yaml"));
  const watched = source.watch((report) => {
    said = report.state === "ready" ? report.workers.map(({ url }) => url) : report.reason;
  }, stop.signal);
  await settled();
  return {
    source,
    files,
    wish,
    reads: () => reads,
    async end() {
      stop.abort();
      await watched;
      expect(clock.pending).toBe(0);
    },
    async pass(secs) {
      for (let second = 0; second < secs; second += 1) {
        clock.advance(1000);
        await settled();
      }
    },
    said: () => said,
  };
}

test("the workers of a file are known at once, and follow it", async () => {
  const { files, said, pass, end } = await setUp();
  expect(said()).toEqual(["http://a:1"]);
  files.set("a.yaml", "http://a:1 http://b:1");
  await pass(2);
  expect(said()).toEqual(["http://a:1", "http://b:1"]);
  files.set("a.yaml", "");
  await pass(2);
  expect(said()).toEqual([]);
  await end();
});

test("a file that is missing or has a mistake is told, and its workers come back with the file", async () => {
  const { files, said, pass, end } = await setUp();
  files.set("a.yaml", "bad");
  await pass(2);
  expect(said()).toBe("a.yaml: bad");
  files.delete("a.yaml");
  await pass(2);
  expect(said()).toBe("a.yaml: there is no such file");
  files.set("a.yaml", "http://c:1");
  await pass(2);
  expect(said()).toEqual(["http://c:1"]);
  await end();
});

test("the file is read again only when it has changed, or a file that it names", async () => {
  const { files, reads, pass, end } = await setUp();
  await pass(60);
  expect(reads()).toBe(1);
  files.set("key", "rotated");
  await pass(2);
  expect(reads()).toBe(2);
  await end();
});

test("another file takes the place of the one before, and none wants no workers", async () => {
  const { source, files, wish, said, pass, end } = await setUp();
  files.set("b.yaml", "http://b:1");
  source.want(wish("b.yaml"));
  await settled();
  expect(said()).toEqual(["http://b:1"]);
  files.set("a.yaml", "http://z:1");
  await pass(3);
  expect(said()).toEqual(["http://b:1"]);
  source.want(undefined);
  await settled();
  expect(said()).toEqual([]);
  await end();
});
