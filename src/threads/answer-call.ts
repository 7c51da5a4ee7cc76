import type { Verify } from "../keys/token-cache.ts";
import type { ControlApp } from "../server/control-app.ts";
import type { Permit } from "../server/admission.ts";
import type { Gate } from "../server/gate.ts";
import type { Route } from "../server/route.ts";
import { ForwardedRequest } from "../transport/forwarded-request.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";
import type { ModelFinder } from "../worker/model-finder.ts";
import type { Call, ControlCall, ControlReply } from "./messages.ts";

/** The parts of the control thread that answer calls of serving threads. */
export interface AnswerCallDeps {
  readonly gate: Gate;
  readonly modelFinder: ModelFinder;
  readonly verifyToken: Verify;
  readonly control: Pick<ControlApp, "answer">;
  /** The routes of the serving threads' port; a call names one by its index. */
  readonly routes: readonly Route[];
}

/** The answer to a call that a thread makes only to wait, or to be refused. */
const DONE = {};

/**
 * Answers a call of a serving thread: with a place, which is held until the thread gives it back, or with data. `signal` is aborted
 * when the thread withdraws the call. Throws the errors of the gate, the finder and the route.
 */
export async function answerCall(deps: AnswerCallDeps, call: Call, signal: LeaveSignal): Promise<Permit | object> {
  const { gate, modelFinder } = deps;
  switch (call.what) {
    case "control":
      return answerControl(deps, call, signal);
    case "enter":
      return gate.enter(call.entry, signal);
    case "enterModel":
      return gate.enterModel(call.model, call.entry, signal);
    case "findModel":
      await modelFinder.find(call.model, signal);
      return DONE;
    case "verifyToken":
      return deps.verifyToken(call.token);
    case "foresee":
      await gate.foresee(call.entry, signal);
      return DONE;
  }
}

async function answerControl(
  { control, routes }: AnswerCallDeps,
  { route, params, requestId, ...told }: ControlCall,
  signal: LeaveSignal,
): Promise<ControlReply> {
  const known = routes[route];
  if (!known) throw new Error(`no route ${route}`);
  const request = new ForwardedRequest(told, signal);
  const { status, headers, body } = await control.answer(known, { request, params, requestId });
  if (typeof body === "object" && "run" in body) throw new Error("an answer of the control thread is no stream");
  return { status, headers, body };
}
