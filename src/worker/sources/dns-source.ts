import type { Clock } from "../../util/clock.ts";
import { isServiceName } from "../../util/dns-name.ts";
import { orAborted } from "../../util/pause.ts";
import { parseWorkerUrl } from "../../util/parse-worker-url.ts";
import { isSameSpec, type WorkerSpec } from "../worker-spec.ts";
import type { SourceReport, WorkerSource } from "./worker-source.ts";

/** Asks the DNS. Both methods reject where the name is not there or no server answers. */
export interface NameResolver {
  /** Addresses of a name, of both families. */
  addresses(host: string): Promise<readonly string[]>;
  /** SRV records of a name (RFC 2782). */
  services(name: string): Promise<readonly ServiceRecord[]>;
}

export interface ServiceRecord {
  /** Host name of the target; empty (`.`): the service is decidedly not there. */
  readonly name: string;
  readonly port: number;
  /** The lower, the sooner it is used. */
  readonly priority: number;
}

export interface DnsSourceParts {
  readonly name: string;
  /** What every worker of the name is like; its url has the name for a host. */
  readonly template: WorkerSpec;
  readonly resolver: NameResolver;
  readonly clock: Clock;
}

/** Time between two questions, ms: the records of a Kubernetes service may be kept for 5 s. */
const PERIOD_MS = 5000;
/** Longest wait for an answer, ms. */
const ANSWER_MS = 10_000;
/** Answers in a row without a record that let its worker leave. Some servers name a part of the records only, each time another one. */
const MISSES = 3;

interface Known {
  readonly spec: WorkerSpec;
  misses: number;
}

/** A place that the name's records say. */
interface Place {
  readonly url: string;
  readonly priority: number;
}

/**
 * The records of one name as workers: each address, or each SRV record. A name that is not found, or has no records, takes no worker
 * away: the source is away, and the workers' own health says whether they serve.
 */
export class DnsSource implements WorkerSource {
  readonly name: string;
  readonly #parts: DnsSourceParts;
  readonly #known = new Map<string, Known>();
  #template: WorkerSpec | undefined;
  #heardAt: number | undefined;
  #wake: () => void = () => undefined;

  constructor(parts: DnsSourceParts) {
    this.name = parts.name;
    this.#parts = parts;
    this.#template = parts.template;
  }

  /** The time of the last answer with records. */
  get heardAt(): number | undefined {
    return this.#template && this.#heardAt;
  }

  async watch(onWanted: (report: SourceReport) => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const template = this.#template;
      if (template) await this.#look(template, signal);
      if (signal.aborted) return;
      // It may have changed while the question was open.
      if (template !== this.#template) continue;
      onWanted({ state: "ready", workers: Array.from(this.#known.values(), ({ spec }) => spec) });
      await this.#pause(signal);
    }
  }

  /** Gives its workers another template. Without one it wants no workers, and asks nothing. */
  want(template: WorkerSpec | undefined): void {
    const before = this.#template;
    if (before === template || (before && template && isSameSpec(before, template))) return;
    this.#template = template;
    this.#known.clear();
    this.#wake();
  }

  async #look(template: WorkerSpec, signal: AbortSignal): Promise<void> {
    const { host, places } = await this.#ask(template, signal);
    if (signal.aborted || template !== this.#template) return;
    if (places.length === 0) throw new Error(`${host} has no records`);
    this.#heardAt = this.#parts.clock.now();
    const seen = new Set<string>();
    for (const { url, priority } of places) {
      if (seen.has(url)) continue;
      seen.add(url);
      const known = this.#known.get(url);
      // The same spec once more costs the reconciler nothing.
      if (known?.spec.priority === priority) known.misses = 0;
      else this.#known.set(url, { spec: { ...template, url, priority }, misses: 0 });
    }
    for (const [url, known] of this.#known) {
      if (seen.has(url)) continue;
      known.misses += 1;
      if (known.misses >= MISSES) this.#known.delete(url);
    }
  }

  async #ask(
    template: WorkerSpec,
    signal: AbortSignal,
  ): Promise<{ readonly host: string; readonly places: readonly Place[] }> {
    const { resolver } = this.#parts;
    const { protocol, hostname, port } = new URL(template.url);
    const within = <T>(answer: Promise<T>): Promise<T> => this.#within(hostname, answer, signal);
    if (isServiceName(hostname)) {
      const records = await within(resolver.services(hostname));
      return { host: hostname, places: servicePlaces(protocol, records, template.priority) };
    }
    const all = await within(resolver.addresses(hostname));
    const four = all.filter((address) => !address.includes(":"));
    // With both families the same engines would be there twice.
    const hosts = four.length > 0 ? four : all.map((address) => `[${address}]`);
    const places = hosts.map((host) => ({
      url: originOf(`${protocol}//${host}${port === "" ? "" : `:${port}`}`),
      priority: template.priority,
    }));
    return { host: hostname, places };
  }

  /** The answer; rejects where it does not come in time, and when the watch ends. */
  async #within<T>(host: string, answer: Promise<T>, signal: AbortSignal): Promise<T> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const cancel = this.#parts.clock.after(ANSWER_MS, () => reject(new Error(`no answer for ${host} within 10 s`)));
    const end = (): void => reject(new Error("the watch has ended"));
    signal.addEventListener("abort", end, { once: true });
    try {
      return await Promise.race([answer, late]);
    } finally {
      cancel();
      signal.removeEventListener("abort", end);
    }
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const cancel = this.#template ? this.#parts.clock.after(PERIOD_MS, resolve) : () => undefined;
    try {
      await orAborted(promise, signal);
    } finally {
      cancel();
    }
  }
}

/** The records that are used first have the priority of the template, those that follow them less and less. Weights are left out: the policy knows more. */
function servicePlaces(protocol: string, records: readonly ServiceRecord[], priority: number): Place[] {
  const there = records.filter(({ name }) => name !== "" && name !== ".");
  // A target that is named twice is the one that is used first.
  there.sort((a, b) => a.priority - b.priority);
  const ranks = [...new Set(there.map((record) => record.priority))];
  return there.map((record) => ({
    url: originOf(`${protocol}//${record.name.replace(/\.$/, "")}:${record.port}`),
    priority: Math.max(0, priority - ranks.indexOf(record.priority)),
  }));
}

function originOf(text: string): string {
  const parsed = parseWorkerUrl(text);
  if (!parsed.ok) throw new Error(`a record makes no url: ${text}: ${parsed.reason}`);
  return parsed.url;
}
