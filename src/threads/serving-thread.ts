import type { Config } from "../config/schema.ts";
import { configSchema } from "../config/schema.ts";
import { createPolicyRegistry, createRouters, forgetDeparted } from "../context/data-path.ts";
import { asGatewayError, GatewayError } from "../errors/errors.ts";
import { createLogger } from "../observability/logger.ts";
import { Metrics } from "../observability/metrics.ts";
import { PolicyMemory } from "../policy/policy-memory.ts";
import { openaiDialect } from "../protocol/openai/dialect.ts";
import { ModelRouter } from "../router/model-router.ts";
import { type Auth, createAuth } from "../server/auth.ts";
import type { ControlRequest } from "../server/control-app.ts";
import { DataPlane } from "../server/data-plane.ts";
import { errorReply } from "../server/error-reply.ts";
import type { ClientRequest, Reply } from "../transport/downstream.ts";
import { listen, type Listener } from "../server/listener.ts";
import { LoopDelay } from "../server/loop-delay.ts";
import { ResidentMemory } from "../server/resident-memory.ts";
import { authSettings, gateSettings, maxLoopDelayMs, maxResidentBytes } from "../server/settings.ts";
import { grpcLimits, maxConnectionsPerWorker } from "../context/settings.ts";
import { TokenizerRegistry } from "../tokenizer/tokenizer-registry.ts";
import { GrpcTransport } from "../transport/grpc/grpc-transport.ts";
import { HttpTransport } from "../transport/http1/http-transport.ts";
import { systemClock } from "../util/clock.ts";
import { clientConnectionLimit } from "../util/descriptor-limit.ts";
import { LoadLedger } from "../worker/load-ledger.ts";
import { WorkerRegistry } from "../worker/worker-registry.ts";
import { workerOf } from "../worker/worker-state.ts";
import { ControlLink } from "./control-link.ts";
import { errorOf } from "./error-state.ts";
import type { Change, ControlReply, ControlRoute, FromThread, Start, ToThread } from "./messages.ts";

/** Bodies for the control thread, bytes. What operators send is small. */
const MAX_CONTROL_BODY = 16 * 1024 * 1024;
/** How often the control thread is told what is under way while a drain waits for it, ms. */
const TELL_ACTIVE_MS = 20;

/** One thread that serves: the data path on an event loop of its own, with a replica of the registries. */
export class ServingThread {
  readonly #post: (message: FromThread) => void;
  readonly #link: ControlLink;
  readonly #metrics = new Metrics();
  readonly #registry: WorkerRegistry;
  readonly #ledger: LoadLedger;
  readonly #memory: PolicyMemory;
  readonly #transport: HttpTransport;
  readonly #grpc: GrpcTransport;
  readonly #tokenizers: TokenizerRegistry;
  readonly #dataPlane: DataPlane;
  readonly #listener: Listener;

  private constructor(parts: ThreadParts) {
    this.#post = parts.post;
    this.#link = parts.link;
    this.#metrics = parts.metrics;
    this.#registry = parts.registry;
    this.#ledger = parts.ledger;
    this.#memory = parts.memory;
    this.#transport = parts.transport;
    this.#grpc = parts.grpc;
    this.#tokenizers = parts.tokenizers;
    this.#dataPlane = parts.dataPlane;
    this.#listener = parts.listener;
  }

  get port(): number {
    return this.#listener.port;
  }

  /** Throws what stands against it: the address, a policy module. */
  static async start(start: Start, post: (message: FromThread) => void): Promise<ServingThread> {
    const config: Config = configSchema.parse(start.config);
    const stack = new AsyncDisposableStack();
    const clock = systemClock;
    const output = { write: (text: string) => postLog(post, text), flush: () => 0 };
    const logger = stack.use(createLogger(config.logLevel, output));
    const metrics = new Metrics();
    const gates = gateSettings(config);
    const link = new ControlLink(post, {
      hasGateway: gates.maxConcurrent !== Number.POSITIVE_INFINITY,
      hasModel: config.maxConcurrentRequestsPerModel > 0,
    });
    const ledger = new LoadLedger({ memory: start.ledger, thread: start.thread });
    const workerRegistry = new WorkerRegistry({ ledger });
    const memory = new PolicyMemory();
    for (const entry of start.memory) memory.put(entry);
    const policyRegistry = await createPolicyRegistry({ config, memory, logger, clock });
    const transport = stack.use(new HttpTransport(clock, maxConnectionsPerWorker(config, start.threads)));
    const grpc = stack.use(new GrpcTransport(grpcLimits(config), clock));
    const tokenizers = stack.use(new TokenizerRegistry());
    for (const change of start.tokenizers) tokenizers.apply(change);
    const threads = start.threads;
    const routers = createRouters(
      {
        config,
        clock,
        logger,
        metrics,
        ledger,
        workerRegistry,
        policyRegistry,
        transport,
        grpc,
        tokenizers,
        isServing: true,
        outcomes: link,
        threads,
      },
      stack,
    );
    const router = new ModelRouter({ workers: workerRegistry, policies: policyRegistry, routers, logger });
    forgetDeparted({ workerRegistry, transport, grpc, metrics });
    for (const state of start.workers) workerRegistry.put(workerOf(state, ledger, clock.now()));
    const loopDelay = stack.use(new LoopDelay(maxLoopDelayMs(config), clock));
    const residentMemory = stack.use(new ResidentMemory(maxResidentBytes(config), clock));
    const auth = createAuth(authSettings(config));
    const dataPlane = new DataPlane({
      config,
      logger,
      metrics,
      auth,
      gate: link,
      loopDelay,
      memory: residentMemory,
      route: (request) => router.route(request),
      threads,
    });
    metrics.read("admitted", (set) => set({}, dataPlane.active));
    metrics.read("loopDelay", (set) => set({}, loopDelay.ms / 1000));
    metrics.read("upstreamSockets", (set) => set({}, transport.openSockets));
    const listener = listen({
      config,
      hostname: start.hostname,
      port: start.port,
      reusePort: true,
      dataPlane,
      routes: start.routes.map((route, index) => ({ ...route, index })),
      answer: (route, request) => askControl(link, auth, route, request),
      maxConnections: () => clientConnectionLimit() / threads,
      metrics,
      onDefect: (error, requestId) => dataPlane.onDefect(error, requestId),
    });
    metrics.read("clientConnections", (set) => set({}, listener.connections));
    return new ServingThread({
      post,
      link,
      metrics,
      registry: workerRegistry,
      ledger,
      memory,
      transport,
      grpc,
      tokenizers,
      dataPlane,
      listener,
    });
  }

  onMessage(message: Exclude<ToThread, Start>): void {
    switch (message.type) {
      case "change":
        this.#apply(message);
        return;
      case "reply":
      case "refusal":
        this.#link.onReply(message);
        return;
      case "ask":
        void this.#tellState(message.id);
        return;
      case "leave":
        this.#listener.beginToLeave();
        return;
      case "stopListening":
        this.#listener.stopListening();
        setInterval(() => this.#post({ type: "active", active: this.#dataPlane.active }), TELL_ACTIVE_MS);
        return;
      case "failAll":
        this.#transport.failAll(errorOf(message.error));
        this.#grpc.failAll(errorOf(message.error));
        return;
      case "stop":
        this.#link.close();
        this.#listener.stop();
    }
  }

  #apply({ version, put, removed, tokenizer, memory }: Change): void {
    for (const entry of memory) this.#memory.put(entry);
    if (put) this.#registry.put(workerOf(put, this.#ledger, systemClock.now()));
    if (removed !== undefined) this.#registry.remove(removed);
    if (tokenizer) this.#tokenizers.apply(tokenizer);
    this.#post({ type: "taken", version });
  }

  async #tellState(id: number): Promise<void> {
    const state = { active: this.#dataPlane.active, metrics: await this.#metrics.snapshot() };
    this.#post({ type: "state", id, state });
  }
}

interface ThreadParts {
  readonly post: (message: FromThread) => void;
  readonly link: ControlLink;
  readonly metrics: Metrics;
  readonly registry: WorkerRegistry;
  readonly ledger: LoadLedger;
  readonly memory: PolicyMemory;
  readonly transport: HttpTransport;
  readonly grpc: GrpcTransport;
  readonly tokenizers: TokenizerRegistry;
  readonly dataPlane: DataPlane;
  readonly listener: Listener;
}

/** Lines are gathered for a moment: a message for each would cost more than the line. */
let gathered = "";
let isGathering = false;
const GATHER_MS = 50;

function postLog(post: (message: FromThread) => void, text: string): number {
  gathered += text;
  if (isGathering) return text.length;
  isGathering = true;
  setTimeout(() => {
    isGathering = false;
    post({ type: "log", text: gathered });
    gathered = "";
  }, GATHER_MS);
  return text.length;
}

/** The control thread's answer to a route that is its own. Who may not ask is told here already. */
async function askControl(
  link: ControlLink,
  auth: Auth,
  route: ControlRoute & { readonly index: number },
  { request, params, requestId }: ControlRequest,
): Promise<Reply> {
  try {
    if (route.access === "serving") auth.serving(request.headers);
    if (route.access === "admin") auth.admin(request);
    const body = request.hasBody ? await readAtMost(request, MAX_CONTROL_BODY) : undefined;
    const { method, path, query, peerAddress } = request;
    const headers = request.headers.entries();
    const { value } = await link.call(
      {
        what: "control",
        route: route.index,
        method,
        path,
        query,
        peerAddress,
        headers,
        params: { ...params },
        requestId,
        body,
      },
      request.signal,
    );
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- from our own other thread
    return value as ControlReply;
  } catch (thrown) {
    return errorReply(asGatewayError(thrown), openaiDialect, requestId);
  }
}

async function readAtMost(request: ClientRequest, maxBytes: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let total = 0;
  for (let piece = await request.read(); piece; piece = await request.read()) {
    total += piece.length;
    if (total > maxBytes) throw new GatewayError("request_too_large", `the body is larger than ${maxBytes} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces, total);
}
