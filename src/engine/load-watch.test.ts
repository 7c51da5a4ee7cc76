import { expect, test } from "bun:test";
import { setUpFleet } from "../../test/support/fleet.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { settled } from "../../test/support/settled.ts";
import { GatewayError } from "../errors/errors.ts";
import type { JsonObject } from "../protocol/json/json.ts";
import type { Worker } from "../worker/worker.ts";
import type { FanOutResult } from "./fleet.ts";
import { LoadWatch } from "./load-watch.ts";

function setUp(): {
  readonly clock: ManualClock;
  readonly watch: LoadWatch;
  readonly worker: Worker;
  readonly rounds: () => number;
  /** What the only worker answers from now on; undefined: an error. `null`: it has left. */
  answer(load: JsonObject | undefined | null): void;
} {
  const worker = setUpFleet().add("http://w:1", { modelId: "m" });
  const clock = new ManualClock();
  let said: JsonObject | undefined | null;
  let rounds = 0;
  const loads = async (): Promise<FanOutResult<JsonObject>[]> => {
    rounds += 1;
    if (said === null) return [];
    const error = said ? undefined : new GatewayError("upstream_error", "the worker does not report its load");
    return [{ worker, value: said, error }];
  };
  const watch = new LoadWatch({ fleet: { loads }, clock, everyMs: 1000 });
  return { clock, watch, worker, rounds: () => rounds, answer: (load) => (said = load) };
}

const BUSY = { loads: [{ num_running_reqs: 2, num_waiting_reqs: 1, token_usage: 0.5 }] };

test("the last report counts for three intervals, and longer than that nothing is known", async () => {
  const { clock, watch, worker, answer } = setUp();
  answer(BUSY);
  expect(watch.of(worker.id)).toBeUndefined();
  clock.advance(0);
  await settled();
  expect(watch.of(worker.id)).toEqual({ running: 2, waiting: 1, kvUsage: 0.5 });
  answer(undefined);
  for (const known of [true, true, true, false]) {
    clock.advance(1000);
    await settled();
    expect(watch.of(worker.id) !== undefined).toBe(known);
  }
});

test("a worker that has left is forgotten, and after the end nobody is asked", async () => {
  const { clock, watch, worker, rounds, answer } = setUp();
  answer(BUSY);
  clock.advance(0);
  await settled();
  answer(null);
  clock.advance(1000);
  await settled();
  expect(watch.of(worker.id)).toBeUndefined();
  expect(rounds()).toBe(2);
  watch[Symbol.dispose]();
  clock.advance(10_000);
  await settled();
  expect(rounds()).toBe(2);
  expect(clock.pending).toBe(0);
});
