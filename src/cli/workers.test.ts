import { expect, test } from "bun:test";
import { failureOf } from "../../test/support/failure-of.ts";
import { type Question, RefusedError } from "./ask-administration.ts";
import { textTable } from "./text-table.ts";
import { workers, type WorkersTools } from "./workers.ts";
import type { WorkersArguments } from "./workers-commands.ts";

type View = Readonly<Record<string, unknown>>;

const VIEW: View = {
  id: "w-1",
  url: "http://gpu1:8000",
  status: "ready",
  cordoned: false,
  trouble: null,
  load: 0,
  models: ["m-1", "m-1:lora"],
  worker_type: "regular",
  runtime_type: "vllm",
  source: "file",
};

const LIST: WorkersArguments = {
  command: "list",
  worker: "",
  model: undefined,
  timeoutSecs: 60,
  gateway: { url: "http://gateway", keyFile: undefined, caFile: undefined },
  isJson: false,
};

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly asked: readonly string[];
}

function gone(): RefusedError {
  return new RefusedError("http://gateway", "no worker has this id or url", "worker_not_found");
}

/** Runs a command at a gateway whose worker has one of `loads` at each look. With `isGoneThen` it is no worker afterwards. */
async function ran(
  given: Partial<WorkersArguments>,
  loads: readonly number[] = [],
  isGoneThen = false,
  uncordonedAt = Number.POSITIVE_INFINITY,
): Promise<Ran> {
  let [out, err, time, looks] = ["", "", 0, 0];
  const asked: string[] = [];
  const tools: WorkersTools = {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    now: () => time,
    sleep: async (ms) => void (time += ms),
    async ask({ method, path }: Question) {
      asked.push(`${method} ${path}`);
      if (method === "DELETE") return { status: "accepted", worker_id: "w-1", url: VIEW["url"] };
      if (method === "POST") return { ...VIEW, cordoned: path.endsWith("/cordon") };
      const load = loads[looks++] ?? (isGoneThen ? undefined : loads.at(-1));
      if (load === undefined && isGoneThen) throw gone();
      const status = given.command === "remove" ? "draining" : "ready";
      const view = { ...VIEW, status, cordoned: looks < uncordonedAt, load: load ?? 0 };
      return path.startsWith("/workers/") ? view : { workers: [view] };
    },
  };
  const code = await workers({ ...LIST, ...given }, tools);
  return { code, out, err, asked };
}

/** What `list` prints of these workers. */
async function tableOf(views: readonly View[]): Promise<string> {
  let text = "";
  const out = (more: string): void => void (text += more);
  await workers(LIST, {
    out,
    err: out,
    now: () => 0,
    sleep: () => Promise.resolve(),
    ask: async () => ({ workers: views }),
  });
  return text;
}

test("the list is a table, of one model where it is named", async () => {
  const { code, out, asked } = await ran({ command: "list", model: "m 1" }, [3]);
  expect([code, asked]).toEqual([0, ["GET /workers?model=m%201"]]);
  expect(out).toBe(
    "URL               STATE           IN FLIGHT  MODELS        TYPE     ENGINE  SOURCE  ID\n" +
      "http://gpu1:8000  ready,cordoned  3          m-1,m-1:lora  regular  vllm    file    w-1\n",
  );
});

test("a worker that gets no requests has the reason behind it, on one line", async () => {
  const broken = {
    ...VIEW,
    status: "not_ready",
    is_healthy: false,
    last_error: { code: "upstream_error", message: "it answers\n500", at: "2026-11-27T00:00:00.000Z" },
  };
  // What happened before is not why a worker that gets requests gets none.
  const back = { ...broken, status: "ready", is_healthy: true };
  expect(await tableOf([broken, back])).toBe(
    "URL               STATE      IN FLIGHT  MODELS        TYPE     ENGINE  SOURCE  ID   WHY\n" +
      "http://gpu1:8000  not_ready  0          m-1,m-1:lora  regular  vllm    file    w-1  it answers 500\n" +
      "http://gpu1:8000  ready      0          m-1,m-1:lora  regular  vllm    file    w-1\n",
  );
});

test("a worker is named by its address too", async () => {
  const { asked, out } = await ran({ command: "cordon", worker: "http://gpu1:8000" });
  expect(asked).toEqual(["POST /workers/http%3A%2F%2Fgpu1%3A8000/cordon"]);
  expect(out).toContain("ready,cordoned");
  expect((await ran({ command: "uncordon", worker: "w-1" })).out).not.toContain("cordoned");
});

test("a drain cordons, tells each change of what is in flight, and ends with the last request", async () => {
  const { code, err, asked } = await ran({ command: "drain", worker: "w-1" }, [2, 2, 1, 0]);
  expect(code).toBe(0);
  expect(err).toBe("pointsman: http://gpu1:8000 has 2 in flight\npointsman: http://gpu1:8000 has 1 in flight\n");
  expect(asked).toEqual(["POST /workers/w-1/cordon", ...Array.from({ length: 4 }, () => "GET /workers/w-1")]);
});

test("a drain that takes longer than its bound ends with 1 and says how it goes on", async () => {
  const { code, out, err, asked } = await ran({ command: "drain", worker: "w-1", timeoutSecs: 2 }, [1]);
  expect([code, out]).toEqual([1, ""]);
  expect(err).toEndWith("the wait is over; the worker stays cordoned, and its requests go on\n");
  expect(asked.length).toBe(6);
});

test("a drain of a worker that somebody uncordons has not come to its end", async () => {
  const { code, out, err } = await ran({ command: "drain", worker: "w-1" }, [2, 1, 0], false, 2);
  expect([code, out]).toEqual([1, ""]);
  expect(err).toEndWith("the worker was uncordoned meanwhile, and takes requests again\n");
});

test("a command for a worker that is not named asks nothing", async () => {
  expect(await failureOf(ran({ command: "remove", worker: "" }))).toMatchObject({
    message: "remove: name the worker by its id or url",
  });
});

test("control characters of a worker's names are written as escapes", () => {
  expect(textTable([["A"], ["m\u001b]0;title\u0007\n"]])).toBe("A\nm\\u001b]0;title\\u0007\\u000a\n");
});

test("a removal waits until the worker is gone", async () => {
  const { code, out, err } = await ran({ command: "remove", worker: "w-1" }, [1, 0], true);
  expect([code, out]).toEqual([0, "http://gpu1:8000 is removed\n"]);
  expect(err).toContain("has 1 in flight");
});

test("with --json the last state is printed as JSON", async () => {
  const { out } = await ran({ command: "drain", worker: "w-1", isJson: true }, [0]);
  expect(JSON.parse(out)).toMatchObject({ id: "w-1", cordoned: true, load: 0 });
});

test("the ranks of an address are drained and removed as one", async () => {
  const ADDRESS = "http://gpu1:8000";
  const loads = [3, 1];
  const asked: string[] = [];
  let [out, err] = ["", ""];
  const tools: WorkersTools = {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    now: () => 0,
    sleep: () => Promise.resolve(),
    ask: async ({ method, path }) => {
      asked.push(`${method} ${path}`);
      if (method === "DELETE") return { worker_id: "w-0", url: ADDRESS };
      const load = loads.shift();
      if (load === undefined) throw gone();
      return { ...VIEW, id: "w-0", url: ADDRESS, status: "draining", load };
    },
  };
  expect(await workers({ ...LIST, command: "remove", worker: ADDRESS }, tools)).toBe(0);
  expect(err).toBe(`pointsman: ${ADDRESS} has 3 in flight\npointsman: ${ADDRESS} has 1 in flight\n`);
  expect(out).toBe(`${ADDRESS} is removed\n`);
  const look = `GET /workers/${encodeURIComponent(ADDRESS)}`;
  expect(asked).toEqual([look.replace("GET", "DELETE"), look, look, look]);
});

test("a worker that was removed and added anew is gone", async () => {
  const tools: WorkersTools = {
    out: () => undefined,
    err: () => undefined,
    now: () => 0,
    sleep: () => Promise.resolve(),
    ask: async ({ method }) => (method === "DELETE" ? { worker_id: "w-1", url: VIEW["url"] } : VIEW),
  };
  expect(await workers({ ...LIST, command: "remove", worker: "http://gpu1:8000" }, tools)).toBe(0);
});
