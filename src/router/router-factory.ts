import { lazy } from "../util/lazy.ts";
import type * as GrpcPd from "./grpc/grpc-pd-sender.ts";
import type * as Grpc from "./grpc/grpc-sender.ts";
import type { TokenRequest } from "./grpc/token-request.ts";
import { HttpForwarder, type HttpForwarderDeps } from "./http/http-forwarder.ts";
import { HttpPdSender } from "./http/http-pd-sender.ts";
import { HttpSender } from "./http/http-sender.ts";
import type { ParsedOutputDeps, ParsedRequest } from "./http/parsed-request.ts";
import type * as Parsed from "./http/parsed-sender.ts";
import type { PromptTokens } from "./http/prompt-tokens.ts";
import { TokenizingSender } from "./http/tokenizing-sender.ts";
import type { Sender } from "./sender.ts";
import { WorkerRouter, type WorkerRouterDeps } from "./worker-router.ts";

const grpc = lazy((): typeof Grpc => require("./grpc/grpc-sender.ts"));
const grpcPd = lazy((): typeof GrpcPd => require("./grpc/grpc-pd-sender.ts"));
const parsed = lazy((): typeof Parsed => require("./http/parsed-sender.ts"));

/** One worker over HTTP for each request. */
type HttpRouter = WorkerRouter<ParsedRequest>;
/** A prefill and a decode worker over HTTP. */
type HttpPdRouter = WorkerRouter<ParsedRequest>;
/** One worker over gRPC, which takes tokens. */
type GrpcRouter = WorkerRouter<TokenRequest>;
/** A prefill and a decode worker over gRPC, which take tokens. */
type GrpcPdRouter = WorkerRouter<TokenRequest>;

export type HttpRouterDeps = WorkerRouterDeps &
  HttpForwarderDeps &
  ParsedOutputDeps & { readonly promptTokens: PromptTokens };
export type GrpcRouterDeps = WorkerRouterDeps & Grpc.GrpcSenderDeps;

/** Makes the four routers, each of the one `WorkerRouter` and its sender. */
export const RouterFactory = {
  createHttpRouter(deps: HttpRouterDeps): HttpRouter {
    return httpRouter(deps, new HttpSender(new HttpForwarder(deps)));
  },

  createHttpPdRouter(deps: HttpRouterDeps): HttpPdRouter {
    return httpRouter(deps, new HttpPdSender(new HttpForwarder(deps), deps.metrics));
  },

  createGrpcRouter(deps: GrpcRouterDeps): GrpcRouter {
    return new WorkerRouter(deps, new (grpc().GrpcSender)(deps));
  },

  createGrpcPdRouter(deps: GrpcRouterDeps): GrpcPdRouter {
    return new WorkerRouter(deps, new (grpcPd().GrpcPdSender)(deps));
  },
} as const;

function httpRouter(deps: HttpRouterDeps, sender: Sender): WorkerRouter<ParsedRequest> {
  const { parsedOutput, promptTokens } = deps;
  const parsing: Sender<ParsedRequest> = parsedOutput ? new (parsed().ParsedSender)(sender, parsedOutput) : sender;
  return new WorkerRouter(deps, new TokenizingSender(parsing, promptTokens));
}
