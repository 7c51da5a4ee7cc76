import type { Router, RouterKind } from "./router.ts";

/** Makes a router, for the kinds that there are. */
export type RouterMakers = Partial<Readonly<Record<RouterKind, () => Router>>>;

/** The routers of one data path: one is made when it is first asked for, so that a fleet of one kind has one router. */
export class Routers {
  readonly #makers: RouterMakers;
  readonly #made = new Map<RouterKind, Router>();

  constructor(makers: RouterMakers) {
    this.#makers = makers;
  }

  get(kind: RouterKind): Router | undefined {
    const made = this.#made.get(kind);
    if (made) return made;
    const router = this.#makers[kind]?.();
    if (router) this.#made.set(kind, router);
    return router;
  }
}
