import { GatewayError } from "../errors/errors.ts";
import type { Clock } from "../util/clock.ts";
import type { ServingUnits } from "./serving-units.ts";

export interface DrainTimes {
  /** How long readiness answers 503 while new connections are still accepted, ms. */
  readonly delayMs: number;
  /** Time after that for requests to finish, ms. */
  readonly graceMs: number;
}

export interface DrainDeps {
  readonly units: Pick<ServingUnits, "active" | "beginToLeave" | "stopListening" | "failAll">;
  /** Refuses requests that wait in a line. */
  readonly gate: { refuseAll(error: GatewayError): void };
  /** Whether another gateway listens on the same ports and takes over. */
  readonly reusePort: boolean;
  readonly sidePorts: { stopListening(): void };
  readonly clock: Clock;
}

/** Interval in which a drain checks whether the last request has ended, ms. */
const LOOK_MS = 20;
/** How long before the end of the grace period the remaining clients are told, ms. */
const LAST_WORDS_MS = 500;

/** Lets requests finish, and resolves when all have ended. Clients that are left at the end get an error. */
export async function drain(
  { units, gate, reusePort, sidePorts, clock }: DrainDeps,
  { delayMs, graceMs }: DrainTimes,
): Promise<void> {
  units.beginToLeave();
  // From now on the gateway that takes over answers on these ports.
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
