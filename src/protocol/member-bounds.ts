import { GatewayError } from "../errors/errors.ts";
import type { JsonBody } from "./json/json-body.ts";
import type { Member } from "./json/members.ts";

/** Bound of a member that an engine allocates memory or loops by. */
export type MemberBound = NumberBound | ListBound | ParametersBound;

/** A number with both ends included. null, true and false pass, because some engines use them as flags. */
export interface NumberBound {
  readonly kind: "number";
  readonly least: number;
  readonly most: number;
  /** The member may be a list with a number for each prompt. */
  readonly isPerPrompt?: true;
}

/** A list with a most number of entries. Other values pass; the engine judges them. */
interface ListBound {
  readonly kind: "list";
  readonly most: number;
}

/** An object whose members have bounds, or a list with one such object for each prompt. */
interface ParametersBound {
  readonly kind: "parameters";
  readonly members: MemberBounds;
}

/** Bounds by the member's name. */
export type MemberBounds = ReadonlyMap<string, MemberBound>;

/** Longest object of parameters, bytes: enough for a batch of some thousand prompts. */
const MAX_PARAMETERS_BYTES = 1_048_576;
/** A number in a string, which some engines read as a number. */
const WRITTEN_NUMBER = /^[+-]?[0-9]{1,15}(\.[0-9]{1,15})?$/;

/** Throws invalid_request, with the member's path as `param`, where a member is beyond its bound. */
export function checkMembers(body: JsonBody, bounds: MemberBounds): void {
  if (bounds.size === 0) return;
  for (const member of body.members) {
    const bound = bounds.get(member.name);
    if (bound !== undefined) checkMember(body, member, bound);
  }
}

function checkMember(body: JsonBody, member: Member, bound: MemberBound): void {
  switch (bound.kind) {
    case "number":
      // What is too long to be read is no number within the bounds.
      checkNumber(member.name, body.valueOf(member), bound);
      return;
    case "list":
      if (body.hasMoreEntries(member, bound.most)) throw tooMany(member.name, bound);
      return;
    case "parameters":
      checkAllParameters(member.name, body.valueOf(member, MAX_PARAMETERS_BYTES), bound);
  }
}

function checkAllParameters(name: string, value: unknown, { members }: ParametersBound): void {
  if (value === undefined) {
    throw new GatewayError("invalid_request", `${name} must have at most ${MAX_PARAMETERS_BYTES} bytes`, {
      param: name,
    });
  }
  if (!Array.isArray(value)) checkParameters(name, value, members);
  else for (const [index, one] of value.entries()) checkParameters(`${name}[${index}]`, one, members);
}

function checkParameters(path: string, value: unknown, bounds: MemberBounds): void {
  if (typeof value !== "object" || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    const bound = bounds.get(name);
    if (bound?.kind === "number") checkNumber(`${path}.${name}`, member, bound);
    else if (bound?.kind === "list" && Array.isArray(member) && member.length > bound.most) {
      throw tooMany(`${path}.${name}`, bound);
    }
  }
}

function checkNumber(path: string, value: unknown, bound: NumberBound): void {
  if (typeof value === "number" && value >= bound.least && value <= bound.most) return;
  if (value === null || typeof value === "boolean") return;
  if (Array.isArray(value) && bound.isPerPrompt) {
    for (const one of value) checkNumber(path, one, bound);
    return;
  }
  const number = typeof value === "string" && WRITTEN_NUMBER.test(value) ? Number(value) : Number.NaN;
  if (number >= bound.least && number <= bound.most) return;
  throw new GatewayError("invalid_request", `${path} must be a number from ${bound.least} to ${bound.most}`, {
    param: path,
  });
}

function tooMany(path: string, { most }: ListBound): GatewayError {
  return new GatewayError("invalid_request", `${path} must have at most ${most} entries`, { param: path });
}
