import type { Reply } from "../transport/downstream.ts";
import type { WorkerKind } from "../worker/worker.ts";
import type { InferenceRequest, Router } from "./router.ts";

/** Makes the router of each kind. */
export type RouterMakers = Partial<Readonly<Record<WorkerKind, () => Router>>>;

/** Answers a request without a worker; throws as a router does. */
export interface LocalAnswers {
  answer(request: InferenceRequest): Promise<Reply>;
}

/** The routers of one serving unit. Each is made at its first use, so a fleet of one kind has one router. */
export class Routers {
  readonly #makers: RouterMakers;
  readonly #made = new Map<WorkerKind, Router>();
  readonly #local: LocalAnswers;

  constructor(makers: RouterMakers, local: LocalAnswers) {
    this.#makers = makers;
    this.#local = local;
  }

  /** Answers requests that need no worker. */
  get local(): LocalAnswers {
    return this.#local;
  }

  get(kind: WorkerKind): Router | undefined {
    const made = this.#made.get(kind);
    if (made) return made;
    const router = this.#makers[kind]?.();
    if (router) this.#made.set(kind, router);
    return router;
  }
}
