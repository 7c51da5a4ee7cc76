import type { ControlApp } from "../server/control-app.ts";
import type { Permit } from "../server/admission.ts";
import type { Gate } from "../server/gate.ts";
import type { Route } from "../server/route.ts";
import { ForwardedRequest } from "../transport/forwarded-request.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";
import type { ModelFinder } from "../worker/model-finder.ts";
import type { Call, ControlCall, ControlReply } from "./messages.ts";

/** Who on the control thread answers what the other threads ask. */
export interface AnswerCallDeps {
  readonly gate: Gate;
  readonly modelFinder: ModelFinder;
  readonly control: Pick<ControlApp, "answer">;
  /** The routes that stand on the port of the threads; a call names one by its index. */
  readonly routes: readonly Route[];
}

/** The answer to a question that a thread asks only to wait for it, or to be refused. */
const DONE = {};

/**
 * What the control thread answers a call of another thread: a place that is held until the thread gives it back, or data. `signal`
 * is aborted when the thread withdraws the call. Throws what the gate, the finder and the route throw.
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
