import { isJsonObject, stringField } from "../../../src/protocol/json/json.ts";

/** How long the two halves of a request wait for each other, ms. */
const MEET_MS = 5000;
/** Keys that are remembered, the last ones: more than the prompts of the largest batch of the tests, 400. */
const KEPT_KEYS = 512;

/** What a decode engine says when it comes for the KV cache of a prompt. */
export interface KvClaim {
  /** What the two halves have in common: room, request id or transfer id. */
  readonly key: string;
  /** The prompt that it decodes. */
  readonly promptHash: string;
  /** What the prefill engine handed out, as it came back. */
  readonly ticket: string;
}

interface Entry {
  readonly promptHash: string;
  readonly ticket: string;
  isClaimed: boolean;
  /** Resolves when the prompt is computed, with what is wrong if anything is. */
  readonly ready: PromiseWithResolvers<string | undefined>;
  /** Resolves when a decode engine has taken it. */
  readonly taken: PromiseWithResolvers<void>;
}

/**
 * Where a simulated prefill engine gives its KV cache out, over HTTP on a port of its own as real ones have one, so that the
 * two may be different processes. A key is good for one prompt and one claim, and a ticket comes back as it was handed out.
 */
export class KvSideChannel {
  readonly port: number;
  readonly #server: Bun.Server<undefined>;
  readonly #entries = new Map<string, Entry>();
  readonly #onWrong: (what: string) => void;

  constructor(port: number, onWrong: (what: string) => void) {
    this.#onWrong = onWrong;
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port,
      idleTimeout: 0,
      fetch: async (request) => {
        const reason = await this.#claim(claimOf(await request.text()));
        if (reason === undefined) return new Response("OK");
        this.#onWrong(reason);
        return new Response(reason, { status: 409 });
      },
    });
    this.port = this.#server.port ?? 0;
  }

  /** A prompt is on its way. False if the key was there before. */
  open(key: string, promptHash: string, ticket: string): boolean {
    if (this.#entries.has(key)) return false;
    const ready = Promise.withResolvers<string | undefined>();
    const taken = Promise.withResolvers<void>();
    this.#entries.set(key, { promptHash, ticket, isClaimed: false, ready, taken });
    if (this.#entries.size > KEPT_KEYS) for (const oldest of this.#entries.keys().take(1)) this.#entries.delete(oldest);
    return true;
  }

  /** The prompt is computed, or it will not be. */
  settle(key: string, failure: string | undefined): void {
    this.#entries.get(key)?.ready.resolve(failure);
  }

  /** Waits until a decode engine has it. False if none comes, and once nobody waits for it. */
  async given(key: string, signal: AbortSignal): Promise<boolean> {
    const entry = this.#entries.get(key);
    if (!entry || signal.aborted) return false;
    const cancelled = Promise.withResolvers<boolean>();
    signal.addEventListener("abort", () => cancelled.resolve(false), { once: true });
    return within(Promise.race([entry.taken.promise.then(() => true), cancelled.promise]), false);
  }

  stop(): void {
    void this.#server.stop(true);
  }

  /** What is wrong with a claim, `undefined` if it is met. */
  async #claim(claim: KvClaim): Promise<string | undefined> {
    const entry = await this.#find(claim.key);
    if (!entry) return `no prefill of ${claim.key}`;
    if (entry.isClaimed) return `${claim.key} is claimed twice`;
    entry.isClaimed = true;
    if (entry.promptHash !== claim.promptHash) return `prefill and decode of ${claim.key} have different prompts`;
    if (entry.ticket !== claim.ticket) return `the ticket of ${claim.key} is ${claim.ticket}, not ${entry.ticket}`;
    const failure = await within(entry.ready.promise, `the prefill of ${claim.key} does not end`);
    if (failure === undefined) entry.taken.resolve();
    return failure;
  }

  /** Where both halves are sent at once, decode may come first. */
  async #find(key: string): Promise<Entry | undefined> {
    for (const end = performance.now() + MEET_MS; ; await Bun.sleep(2)) {
      const entry = this.#entries.get(key);
      if (entry || performance.now() >= end) return entry;
    }
  }
}

/** Comes for the KV cache. Gives what is wrong, `undefined` if it was got. */
export async function claimKv(address: string, claim: KvClaim): Promise<string | undefined> {
  try {
    const response = await fetch(`http://${address}/`, { method: "POST", body: JSON.stringify(claim) });
    return response.ok ? undefined : await response.text();
  } catch {
    // Nobody there: a wrong address, or a prefill engine that has died.
    return `no prefill engine at ${address}`;
  }
}

export function hashOf(promptIds: readonly number[]): string {
  return Bun.hash.xxHash64(new Uint8Array(Uint32Array.from(promptIds).buffer)).toString(16);
}

function claimOf(text: string): KvClaim {
  const value: unknown = JSON.parse(text);
  const claim = isJsonObject(value) ? value : {};
  return {
    key: stringField(claim, "key") ?? "",
    promptHash: stringField(claim, "promptHash") ?? "",
    ticket: stringField(claim, "ticket") ?? "",
  };
}

async function within<T>(promise: Promise<T>, otherwise: T): Promise<T> {
  const { promise: late, resolve } = Promise.withResolvers<T>();
  const timer = setTimeout(() => resolve(otherwise), MEET_MS);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
