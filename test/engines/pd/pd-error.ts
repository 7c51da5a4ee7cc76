/** Why a leg is refused or fails. `violation`: the client departed from the protocol, and it is recorded so. */
export class PdError extends Error {
  readonly status: 400 | 500;
  readonly kind: "violation" | "kv" | "aborted";

  constructor(status: 400 | 500, kind: "violation" | "kv" | "aborted", message: string) {
    super(message);
    this.status = status;
    this.kind = kind;
  }
}

/** Throws a violation unless the statement holds. */
export function demand(holds: boolean, message: string): asserts holds {
  if (!holds) throw new PdError(400, "violation", message);
}
