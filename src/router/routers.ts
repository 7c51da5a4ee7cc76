import type { InferenceRequest, Router, RouterKind } from "./router.ts";
import type { Reply } from "../transport/downstream.ts";

/** Makes a router, for the kinds that there are. */
export type RouterMakers = Partial<Readonly<Record<RouterKind, () => Router>>>;

/** Answers a request without a worker; throws as a router does. */
export interface LocalAnswers {
  answer(request: InferenceRequest): Promise<Reply>;
}

/** The routers of one data path: one is made when it is first asked for, so that a fleet of one kind has one router. */
export class Routers {
  readonly #makers: RouterMakers;
  readonly #made = new Map<RouterKind, Router>();
  readonly #local: LocalAnswers;

  constructor(makers: RouterMakers, local: LocalAnswers) {
    this.#makers = makers;
    this.#local = local;
  }

  /** Who answers what no worker has a part in. */
  get local(): LocalAnswers {
    return this.#local;
  }

  get(kind: RouterKind): Router | undefined {
    const made = this.#made.get(kind);
    if (made) return made;
    const router = this.#makers[kind]?.();
    if (router) this.#made.set(kind, router);
    return router;
  }
}
