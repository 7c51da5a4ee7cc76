import { expect } from "bun:test";
import { post } from "../support/gateway.ts";
import type { GatewayProcess } from "../support/process.ts";
import type { Api } from "./apis.ts";
import { eventually } from "./observe.ts";

/** An answer, read to its end. */
export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** From the request to the end of the answer, ms. */
  readonly ms: number;
}

/** A gateway, and what requests must bring where it asks for keys. */
type Asked = GatewayProcess & { readonly callHeaders?: Readonly<Record<string, string>> };

/** Sends a request of the API; `onText` sees what has come of the answer's body, each time that more has. */
export async function ask(
  gateway: Asked,
  api: Api,
  model: string,
  extra: Readonly<Record<string, unknown>> = {},
  onText?: (text: string) => void,
): Promise<Reply> {
  const started = performance.now();
  const response = await post(gateway.url + api.path, api.body(model, extra), { ...gateway.callHeaders });
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let text = "";
  for await (const piece of response.body ?? []) {
    text += decoder.decode(piece, { stream: true });
    onText?.(text);
  }
  return { status: response.status, headers: response.headers, text, ms: performance.now() - started };
}

/** The access line of the request with this answer. */
export function lineOf(gateway: GatewayProcess, reply: Reply): Promise<Record<string, unknown>> {
  return gateway.accessLine(reply.headers.get("x-request-id") ?? "");
}

/** Expects one access line for each request that the gateway has answered, and no defect among them. */
export async function expectOneLineEach(gateway: GatewayProcess): Promise<void> {
  const answered = await gateway.metric("pointsman_requests_total");
  const access = (): Record<string, unknown>[] => gateway.lines().filter((line) => line["msg"] === "request");
  await eventually(() => access().length >= answered, "the access lines are written");
  const lines = access();
  expect([lines.length, new Set(lines.map((line) => line["request_id"])).size]).toEqual([answered, answered]);
  expect(lines.filter((line) => line["error"] === "internal_error")).toEqual([]);
}

/** Runs a task so many times, at most `lanes` of them at once. */
export async function repeat<T>(times: number, lanes: number, task: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < times; index = next++) results[index] = await task(index);
  };
  await Promise.all(Array.from({ length: Math.min(lanes, times) }, lane));
  return results;
}

/** How often each value is there. */
export function tally(values: readonly (string | number)[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}

export interface SseEvent {
  readonly name: string | undefined;
  readonly data: string;
}

/** The events of a stream, read as the HTML standard says; comments and events without data are none. */
export function readEvents(text: string): SseEvent[] {
  const events: SseEvent[] = [];
  let name: string | undefined;
  let lines: string[] = [];
  for (const line of text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/)) {
    if (line === "") {
      if (lines.length > 0) events.push({ name, data: lines.join("\n") });
      name = undefined;
      lines = [];
      continue;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") lines.push(value);
    else if (field === "event") name = value;
  }
  return events;
}

/** What the gateway shows of a worker. */
export async function workerView(gateway: GatewayProcess, id: string | undefined): Promise<Record<string, unknown>> {
  return (await (await fetch(`${gateway.url}/workers/${id}`)).json()) as Record<string, unknown>;
}

/** What stands at this place within a value that was JSON; undefined where there is no such place. */
export function dig(value: unknown, ...path: readonly (string | number)[]): unknown {
  let at = value;
  for (const step of path) {
    if (typeof at !== "object" || at === null) return undefined;
    at = Reflect.get(at, step);
  }
  return at;
}
