import { residentMb, sockets } from "./processes.ts";
import { slope } from "./statistics.ts";
import type { Target } from "./targets.ts";

export interface Sample {
  readonly minute: number;
  readonly rssMb: number;
  readonly sockets: number;
  readonly inFlight: number;
}

const ERROR_COUNT = /^pointsman_request_errors_total\{.*code="(\w+)".*\} (\d+)$/gm;

const HANDSHAKES = /^pointsman_tls_handshakes_total\{result="(\w+)"\} (\d+)$/gm;

/** What the gateway holds, looked at again and again. */
export class SoakWatch {
  readonly samples: Sample[] = [];
  readonly #target: Target;
  readonly #from = performance.now();

  constructor(target: Target) {
    this.#target = target;
  }

  async look(): Promise<Sample> {
    const metrics = await this.#metrics();
    const sample = {
      minute: (performance.now() - this.#from) / 60_000,
      rssMb: residentMb(this.#target.pid),
      sockets: sockets(this.#target.pid),
      inFlight: sumOf(metrics, "pointsman_requests_in_flight") + sumOf(metrics, "pointsman_admitted_requests"),
    };
    this.samples.push(sample);
    return sample;
  }

  /** Errors as the gateway counted them, also those that no client has seen. */
  async errorCodes(): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    for (const [, code = "", count] of (await this.#metrics()).matchAll(ERROR_COUNT)) {
      counts.set(code, (counts.get(code) ?? 0) + Number(count));
    }
    return counts;
  }

  /** TLS handshakes by how they ended. */
  async handshakes(): Promise<Map<string, number>> {
    const found = (await this.#metrics()).matchAll(HANDSHAKES);
    return new Map([...found].map(([, result = "", count]) => [result, Number(count)]));
  }

  async #metrics(): Promise<string> {
    return (await fetch(`${this.#target.origin}/metrics`)).text();
  }
}

/**
 * Growth of memory, MB a minute, without the first third, in which compilers and caches fill. Between two collections memory
 * goes up and down by half of itself: what counts is the least of each whole minute, which is what is kept.
 */
export function growth(samples: readonly Pick<Sample, "minute" | "rssMb">[]): number {
  const last = samples.at(-1)?.minute ?? 0;
  const least = new Map<number, number>();
  for (const { minute, rssMb } of samples) {
    const whole = Math.floor(minute);
    if (whole < Math.ceil(last / 3) || whole === Math.floor(last)) continue;
    least.set(whole, Math.min(rssMb, least.get(whole) ?? Number.POSITIVE_INFINITY));
  }
  return slope([...least]);
}

/** Over all series of a metric. */
function sumOf(metrics: string, name: string): number {
  return metrics
    .split("\n")
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}
