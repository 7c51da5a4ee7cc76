import { GatewayError } from "../errors/errors.ts";
import { jsonObjectOf, type JsonObject } from "../protocol/json/json.ts";
import type { PageQuestions } from "./engine.ts";
import type { ProfileOptions } from "./profile-options.ts";
import type { InfoPage, WorkerVoice } from "./voice.ts";
import type { Addressee, WorkerClient } from "./worker-client.ts";

/** Largest answer that is read, bytes. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

interface PageAnswer {
  readonly status: number;
  readonly body: Uint8Array;
}

/** Operators' questions to one HTTP worker, each for a page that its engine has. */
export class PageVoice implements WorkerVoice {
  readonly #client: Pick<WorkerClient, "page">;
  readonly #to: Addressee;
  readonly #pages: PageQuestions;
  readonly #timeoutMs: number;

  constructor(client: Pick<WorkerClient, "page">, to: Addressee, pages: PageQuestions, timeoutMs: number) {
    this.#client = client;
    this.#to = to;
    this.#pages = pages;
    this.#timeoutMs = timeoutMs;
  }

  async isHealthy(): Promise<boolean> {
    const answer = await this.#firstOf("GET", this.#pages.generates);
    return answer !== undefined && isGood(answer);
  }

  async info(what: InfoPage): Promise<JsonObject | undefined> {
    const answer = await this.#firstOf("GET", this.#pages[what]);
    return answer?.status === 200 ? jsonObjectOf(textOf(answer)) : undefined;
  }

  async flushCache(): Promise<void> {
    const answer = await this.#firstOf("POST", this.#pages.flushCache);
    if (!answer || !isGood(answer)) throw new GatewayError("upstream_error", "the worker did not flush its cache");
  }

  async loads(): Promise<JsonObject> {
    for (const { path, read } of this.#pages.loads) {
      const answer = await this.#ask("GET", path);
      const loads = answer.status === 200 ? read(textOf(answer)) : undefined;
      if (loads) return loads;
    }
    throw new GatewayError("upstream_error", "the worker does not report its load");
  }

  startProfile(options: ProfileOptions | undefined): Promise<void> {
    return this.#profile(this.#pages.profile.start, options?.json);
  }

  stopProfile(): Promise<void> {
    return this.#profile(this.#pages.profile.stop);
  }

  async #profile(path: string, json?: Uint8Array): Promise<void> {
    const answer = await this.#ask("POST", path, json);
    if (!isGood(answer)) throw new GatewayError("upstream_error", `the worker answered ${answer.status}`);
  }

  /** The answer of the first page that the worker has. */
  async #firstOf(method: "GET" | "POST", paths: readonly string[]): Promise<PageAnswer | undefined> {
    for (const path of paths) {
      const answer = await this.#ask(method, path);
      if (answer.status !== 404 && answer.status !== 405) return answer;
    }
    return undefined;
  }

  async #ask(method: "GET" | "POST", path: string, json?: Uint8Array): Promise<PageAnswer> {
    const answer = await this.#client.page(this.#to, { method, path, json, timeoutMs: this.#timeoutMs });
    return { status: answer.status, body: await answer.bytes(MAX_ANSWER_BYTES) };
  }
}

function isGood({ status }: PageAnswer): boolean {
  return status >= 200 && status < 300;
}

function textOf({ body }: PageAnswer): string {
  return new TextDecoder().decode(body);
}
