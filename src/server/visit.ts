import { GatewayError } from "../errors/errors.ts";
import type { KeyLimits } from "../keys/limits.ts";
import type { Principal, Priority } from "../keys/principal.ts";
import type { RequestRecord } from "../observability/request-record.ts";
import type { Dialect } from "../protocol/dialect.ts";
import type { InferenceRequest } from "../router/router.ts";
import { allowsModel } from "../keys/allowed-models.ts";
import type { ClientRequest, Reply } from "../transport/downstream.ts";
import type { HeaderReader } from "../util/header-reader.ts";
import type { Auth } from "./auth.ts";
import { type Entry, patienceOf, priorityOf } from "./gate.ts";
import { LimitedUse } from "./limited-use.ts";
import type { Pressure } from "./pressure.ts";
import { noteReceiptWanted } from "./receipts.ts";

export interface ReceptionDeps {
  readonly auth: Auth;
  readonly limits: KeyLimits;
  readonly pressure: Pressure;
}

/**
 * Finds out who the caller is, lets it in, and checks the pressure; `active` is the number of other requests. A promise comes only for a token that must be
 * verified first. Throws invalid_request, invalid_api_key, too_many_wrong_keys, forbidden, overloaded, memory_full.
 */
export function receive(
  deps: ReceptionDeps,
  request: ClientRequest,
  record: RequestRecord,
  active: number,
): Visit | Promise<Visit> {
  const found = deps.auth.serving(request);
  if (found instanceof Promise) return found.then((principal) => admitted(deps, request, record, active, principal));
  return admitted(deps, request, record, active, found);
}

function admitted(
  { auth, limits, pressure }: ReceptionDeps,
  request: ClientRequest,
  record: RequestRecord,
  active: number,
  principal: Principal,
): Visit {
  // The caller where the gateway has no keys has no name.
  if (principal.name !== "") record.key = principal.name;
  if (principal.isBearer) record.isBearer = true;
  noteReceiptWanted(auth, request, record);
  pressure.check(active);
  return new Visit(principal, request.headers, limits);
}

/** One request of a known caller. It reads priority and patience from the request's headers when they are needed. */
export class Visit implements Entry {
  readonly principal: Principal;
  readonly #headers: HeaderReader;
  /** undefined where the caller has no limits. */
  readonly #use: LimitedUse | undefined;

  constructor(principal: Principal, headers: HeaderReader, limits: KeyLimits) {
    this.principal = principal;
    this.#headers = headers;
    this.#use = principal.limits === undefined ? undefined : new LimitedUse(limits, principal, principal.limits);
  }

  get client(): string {
    return this.principal.name;
  }

  get priority(): Priority {
    return priorityOf(this.principal, this.#headers.get("x-request-priority"));
  }

  get patienceMs(): number {
    return patienceOf(this.#headers);
  }

  /** Throws what `enter` would throw now, and counts nothing. */
  foresee(): void {
    this.#use?.foresee();
  }

  /** Counts the request against its caller's limits until it is over. Throws rate_limit_exceeded. */
  enter(record: RequestRecord): void {
    this.#use?.enter(record);
  }

  /** Checks what the body asks for. Throws model_not_allowed, missing_model, rate_limit_exceeded, request_over_limit. */
  ask(request: InferenceRequest): void {
    if (this.principal.models !== undefined) checkModel(this.principal, request);
    this.#use?.reserve(request);
  }

  /** Adds what is left of the caller's limits to an answer. */
  addLimits(reply: Reply, dialect: Dialect): void {
    if (this.#use !== undefined) reply.lines = this.#use.linesIn(dialect);
  }
}

function checkModel(principal: Principal, { model, endpoint }: InferenceRequest): void {
  // The gateway's parsers answer without a model.
  if (endpoint.work === "parse") return;
  if (model === undefined) {
    throw new GatewayError("missing_model", "this key may use some models only: the request must name one", {
      param: "model",
    });
  }
  if (!allowsModel(principal, model)) {
    throw new GatewayError("model_not_allowed", "this key may not use this model", { param: "model" });
  }
}
