import { asGatewayError } from "../errors/errors.ts";
import { HttpServer } from "../transport/http1-server/http-server.ts";
import type { PortTls } from "../transport/tls/server-tls.ts";
import type { ByteBudget } from "./byte-budget.ts";
import type { RouteAddress } from "./control-app.ts";
import { PortAnswers, type PortAnswersDeps, type PortAnswersSettings } from "./port-answers.ts";

export interface ListenerSettings extends PortAnswersSettings {
  /** Time without a request after which a connection is closed, ms; Infinity for never. */
  readonly idleMs: number;
  /** Most connections of one address at once; Infinity for no bound. */
  readonly maxPerAddress: number;
}

export interface ListenerDeps<R extends RouteAddress> extends PortAnswersDeps<R> {
  readonly settings: ListenerSettings;
  readonly hostname: string;
  readonly port: number;
  readonly reusePort: boolean;
  /** The certificate of the port; undefined: it speaks no TLS. */
  readonly tls: PortTls | undefined;
  /** Counts the bytes that are held of requests. */
  readonly account: ByteBudget;
  /** Most connections at once. It changes with the process's limit of open files. */
  readonly maxConnections: () => number;
}

/** An open port. */
export interface Listener extends Pick<
  HttpServer,
  "port" | "connections" | "unfinished" | "beginToLeave" | "stopListening" | "stop" | "replaceCertificate"
> {
  /** Changes the settings for the next requests, and the bounds of all connections. */
  replace(settings: ListenerSettings): void;
}

/** Listens, and answers requests. Throws Bun's error if the address is not available (EADDRINUSE, EACCES). */
export function listen<R extends RouteAddress>(deps: ListenerDeps<R>): Listener {
  const { settings } = deps;
  const answers = new PortAnswers(deps);
  const server = new HttpServer({
    tls: deps.tls,
    hostname: deps.hostname,
    port: deps.port,
    reusePort: deps.reusePort,
    onHandshake: (result) => deps.metrics.increment("tlsHandshakes", { result }),
    idleMs: settings.idleMs,
    maxConnections: deps.maxConnections,
    maxPerAddress: settings.maxPerAddress,
    account: deps.account,
    screen: (head, from) => answers.screen(head, from),
    handle: (request) => answers.handle(request),
    finish: (request, reply) => answers.finish(request, reply),
    refuse: (error) => answers.refuse(error),
    onDefect: (error) => deps.onDefect(asGatewayError(error), ""),
  });
  return {
    port: server.port,
    get connections() {
      return server.connections;
    },
    get unfinished() {
      return server.unfinished;
    },
    beginToLeave: () => server.beginToLeave(),
    stopListening: () => server.stopListening(),
    stop: () => server.stop(),
    replaceCertificate: (next) => server.replaceCertificate(next),
    replace(next) {
      answers.replace(next);
      server.replace(next);
    },
  };
}

/** The URL of a port; an IPv6 address gets its brackets. */
export function urlOf(port: number | undefined, host: string, isTls: boolean): string {
  return `${isTls ? "https" : "http"}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
