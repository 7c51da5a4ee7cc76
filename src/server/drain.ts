import { GatewayError } from "../errors/errors.ts";
import type { Clock } from "../util/clock.ts";
import type { ServingUnits } from "./serving-units.ts";

export interface DrainTimes {
  /** Readiness says no, and new connections are still taken, ms. */
  readonly delayMs: number;
  /** After that for requests to finish, ms. */
  readonly graceMs: number;
}

export interface DrainDeps {
  readonly units: Pick<ServingUnits, "active" | "beginToLeave" | "stopListening" | "failAll">;
  /** Refuses those that wait in line. */
  readonly gate: { refuseAll(error: GatewayError): void };
  /** Another gateway listens on the same ports and takes over. */
  readonly reusePort: boolean;
  readonly sidePorts: { stopListening(): void };
  readonly clock: Clock;
}

/** How often a drain looks whether the last request has ended, ms. */
const LOOK_MS = 20;
/** Before the end of the grace, for clients that are left to be told, ms. */
const LAST_WORDS_MS = 500;

/** Lets clients leave, and resolves when all requests have ended. Clients that are left at the end are told that they are cut. */
export async function drain(
  { units, gate, reusePort, sidePorts, clock }: DrainDeps,
  { delayMs, graceMs }: DrainTimes,
): Promise<void> {
  units.beginToLeave();
  // What is asked on these ports from now on is meant for the gateway that takes over.
  if (reusePort) sidePorts.stopListening();
  await passed(clock, delayMs);
  units.stopListening();
  const end = clock.now() + graceMs;
  const untilIdle = async (until: number): Promise<void> => {
    while (units.active > 0 && clock.now() < until) await passed(clock, LOOK_MS);
  };
  await untilIdle(end - LAST_WORDS_MS);
  const farewell = new GatewayError("server_shutting_down", "the gateway is shutting down", { retryAfterSecs: 1 });
  gate.refuseAll(farewell);
  units.failAll(farewell);
  await untilIdle(end);
}

function passed(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.after(ms, resolve));
}
