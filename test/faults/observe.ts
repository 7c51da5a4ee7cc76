import { expect } from "bun:test";
import { appendFileSync } from "node:fs";
import type { SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { startEngine } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import type { GatewayProcess } from "../support/process.ts";
import { chat, type FaultGateway } from "./setup.ts";
import { startOf } from "./start-of.ts";

/** What the run saw of a fault, for docs/faults.md: kept where the environment names a file for it. */
export function observe(row: number, what: string): void {
  const path = process.env["POINTSMAN_FAULT_OBSERVATIONS"];
  if (path !== undefined) appendFileSync(path, `${JSON.stringify({ row, what })}\n`);
}

/**
 * After all faults of a file: the process that met them is the one that was started, and serves. That it is this one
 * that answers is told by the line that it prints.
 */
export async function expectSameProcessServes(gateway: FaultGateway): Promise<void> {
  await using engine = await startEngine({ model: "after-all" });
  await using _served = await gateway.serve("after-all", [engine.url]);
  const id = crypto.randomUUID();
  const headers = { "x-request-id": id, ...gateway.callHeaders };
  const response = await post(`${gateway.url}/v1/chat/completions`, chat("after-all"), headers);
  expect([response.status, engine.stats.finished]).toEqual([200, 1]);
  expect((await gateway.accessLine(id))["status"]).toBe(200);
  expect(startOf(gateway.pid)).toBe(gateway.startedAt);
}

/** How far resident memory rises above where it stood, MB, until the work is done. */
export async function rssRise(gateway: GatewayProcess, work: () => Promise<unknown>): Promise<number> {
  const before = gateway.rssMb();
  return (await rssDuring(gateway, work)).peak - before;
}

/** The least and the most resident memory of the process meanwhile, in MB. */
export async function rssDuring(
  gateway: GatewayProcess,
  work: () => Promise<unknown>,
): Promise<{ least: number; peak: number }> {
  const seen = [gateway.rssMb()];
  const timer = setInterval(() => seen.push(gateway.rssMb()), 5);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  seen.push(gateway.rssMb());
  return { least: Math.min(...seen), peak: Math.max(...seen) };
}

/** Resolves when it is so; looks each few milliseconds, and for five seconds at most. */
export async function eventually(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const until = performance.now() + 5000; performance.now() < until; await Bun.sleep(5)) if (await isSo()) return;
  throw new Error(`it did not come to pass within 5 s: ${what}`);
}

export interface ErrorBody {
  readonly type: string;
  readonly code: string;
  readonly message: string;
  readonly param: string | null;
}

/** The error of an answer in OpenAI's shape, all four keys of it. */
export function openaiError(body: string): ErrorBody {
  const parsed = JSON.parse(body) as { error: ErrorBody };
  expect(parsed).toHaveProperty("error");
  const { error } = parsed;
  expect(Object.keys(error).sort()).toEqual(["code", "message", "param", "type"]);
  return error;
}

/** Expects that the work brings the worker no request. */
export async function unseenBy<T>(engine: SimulatedEngine, work: () => Promise<T>): Promise<T> {
  const before = engine.requests.length;
  const result = await work();
  expect(engine.requests.length).toBe(before);
  return result;
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
